"""Ctrl-C while the command line itself is being imported: nobody wants to see where."""

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli


@pytest.mark.parametrize("module", ["click._compat", "click.core", "msgspec", "duly.cli.streams", "duly.app"])
def test_an_interrupt_between_two_imports_shows_no_traceback(cli: "Cli", module: str) -> None:
    command = cli.start("tasks", "-a", "shop", PYTHONPROFILEIMPORTTIME="1")
    command.until(f" {module}\n")
    done = command.end(signal.SIGINT)
    assert done.code in (-signal.SIGINT, 130, 4)  # 4: it came too late, there is no store
    assert "Traceback" not in done.err


def test_an_interrupt_that_is_ignored_from_outside_stays_so(cli: "Cli") -> None:
    done = cli.shell("trap '' INT; {duly} --version; kill -INT $$; {duly} --version")
    assert (done.code, done.out) == (0, "duly 0.1.0\n" * 2)
