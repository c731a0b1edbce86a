"""A name that nobody has heard of is mostly a slip: it is said, and what may have been meant; nothing is refused."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

SLIP = "nobody has heard of action email:sned; did you mean email:send?\n"


@pytest.mark.parametrize(
    ("command", "out"),
    [
        (["tasks"], ""),
        (["tasks", "--json"], "[]\n"),
        (["watch"], ""),
        (["cancel", "--yes"], "cancelled 0\nasked 0\n"),
        (["cancel", "--dry-run"], ""),
        (["retry"], "retried 0\nrefused 0\n"),
    ],
)
def test_an_action_nobody_has_heard_of_is_said(cli: "Cli", command: list[str], out: str) -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    done = cli(*command, "-a", "shop", "--action", "email:sned")
    assert (done.code, done.out) == (0, out)
    assert SLIP in done.err


def test_a_queue_that_nobody_has_heard_of_is_said(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"', "--queue", "night")
    assert cli("tasks", "-a", "shop", "--queue", "nigth", "--json").err == (
        "nobody has heard of queue nigth; did you mean night?\n"
    )
    assert cli("tasks", "--url", "sqlite:///shop.db", "--queue", "xyz", "--json").err == (
        "nobody has heard of queue xyz\n"
    )
    assert cli("tasks", "-a", "shop", "--queue", "night", "--json").err == ""
    assert cli("tasks", "-a", "shop", "--action", "email:fail", "--json").err == "", "it is declared"


def test_a_worker_for_a_queue_that_no_action_has_is_warned(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1", "--queue", "report", "--queue", "default")
    worker.until("email:send")
    done = worker.end()
    assert done.code == 0
    assert "warning: no action of this App has the queue report" in done.err
    assert "did you mean reports?" in done.err
    assert "has the queue default" not in done.err


def test_a_workers_store_is_its_apps(inside: "Inside") -> None:
    done = inside("worker", "-a", "shop", "--url", "sqlite:///other.db")
    assert (done.code, done.out) == (2, "")
    assert "DULY_URL" in done.err
