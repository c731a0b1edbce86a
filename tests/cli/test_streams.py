import json
import os
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from duly.cli import commands as command_line
from duly.cli.streams import plain

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, History

OUTPUTS = [["tasks"], ["tasks", "--json"], ["tasks", "--jsonl"]]


def through_shell(cli: "Cli", redirection: str, *arguments: str, **environment: str) -> "Done":
    """Run duly with its streams as a shell would have them."""
    done = subprocess.run(
        ["/bin/sh", "-c", f'"$@" {redirection}', "sh", *cli.command(*arguments)],
        cwd=cli.folder, env=cli.environment(**environment), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return type(cli("--version"))(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("arguments", OUTPUTS)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_one_line_and_exit_1(
    history: "History", arguments: list[str], unbuffered: str
) -> None:
    done = through_shell(history.cli, ">/dev/full", *arguments, "-a", "shop", PYTHONUNBUFFERED=unbuffered)
    assert done.code == 1
    assert done.err == "error: stdout cannot be written: No space left on device\n"


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_closed_streams_are_no_trouble(history: "History", arguments: list[str]) -> None:
    done = through_shell(history.cli, ">&- 2>&- <&-", *arguments, "-a", "shop")
    assert (done.code, done.err) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["submit", "email:send", '"ann"', "--wait-timeout", "10ms"], ["tasks", "--queue", "no"]]
)
def test_a_stderr_that_nobody_empties_holds_nothing_up(cli: "Cli", arguments: list[str]) -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with suppress(BlockingIOError):
        while os.write(writing, bytes(4096)):
            pass
    os.set_blocking(writing, True)
    done = subprocess.run(
        cli.command(arguments[0], "-a", "shop", *arguments[1:]), cwd=cli.folder, env=cli.environment(), stderr=writing,
        stdout=subprocess.DEVNULL, timeout=30, check=False,
    )  # fmt: skip
    os.close(writing)
    os.close(reading)
    assert done.returncode == (124 if arguments[0] == "submit" else 0)


def test_a_reader_that_has_seen_enough_is_no_trouble(history: "History") -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run(
            history.cli.command("tasks", "-a", "shop"), cwd=history.cli.folder, env=history.cli.environment(),
            stdout=pipe, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    assert done.stderr == b""
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_whole_in_every_encoding_of_stdout(history: "History", encoding: str) -> None:
    done = subprocess.run(
        history.cli.command("show", "-a", "shop", history.ids["later"], "--json"), cwd=history.cli.folder,
        env=history.cli.environment(PYTHONIOENCODING=encoding), capture_output=True, timeout=60, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.decode(encoding))["payload"] == {"to": "bob", "text": "späte Grüße, 5 €"}


def test_text_that_stdout_cannot_express_is_escaped(history: "History") -> None:
    done = history.cli("show", "-a", "shop", history.ids["later"], PYTHONIOENCODING="iso8859-5")
    assert done.code == 0
    assert r"Gr\xfc\xdfe, 5 \u20ac" in done.out


def test_what_would_steer_a_terminal_is_shown_as_an_escape(history: "History") -> None:
    done = history.cli("show", "-a", "shop", history.ids["dropped"], "--color", "always")
    assert "\x1b[31mby hand" not in done.out
    assert done.out.count(r"\x1b[31mby hand") >= 2


@pytest.mark.parametrize(
    ("arguments", "environment", "colored"),
    [
        ([], {}, False),
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_unless_said(
    history: "History", arguments: list[str], environment: dict[str, str], colored: bool
) -> None:
    done = history.cli("tasks", "-a", "shop", *arguments, **environment)
    assert done.code == 0
    assert ("\x1b[31mfailed" in done.out) is colored


def test_quiet_says_errors_only(history: "History") -> None:
    none = history.cli("tasks", "-a", "shop", "--queue", "nosuch")
    assert (none.code, none.out, none.err.splitlines()[0]) == (0, "", "no tasks")
    assert history.cli("tasks", "-a", "shop", "--queue", "nosuch", "--quiet").err == ""
    assert history.cli("tasks", "-a", "nosuch", "--quiet").err.startswith("error: there is no module 'nosuch'")


def test_plain_keeps_lines_and_tabs() -> None:
    assert plain("a\tb\nc\rd\x9b1m") == "a\tb\nc\\x0dd\\x9b1m"


def test_an_interrupt_is_said_and_ends_with_130(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("duly.cli.doctor._findings", interrupted)
    assert command_line.run(["doctor"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"
