"""`duly cancel` and `duly retry` of all tasks that fit a filter."""

import os
import pty
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

FILL = """
import sys
import shop

with shop.app as app:
    app.submit_many(app.passport("email:send", {"to": str(n)}, delay=sys.argv[2]) for n in range(int(sys.argv[1])))
"""


def fill(cli: "Cli", number: int, delay: str = "1h") -> None:
    cli.write("fill.py", FILL)
    command = [*cli.command()[:1], "fill.py", str(number), delay]
    subprocess.run(command, cwd=cli.folder, env=cli.environment(), check=True, timeout=60)


def states(cli: "Cli") -> list[str]:
    return [task["state"] for task in cli("tasks", "-a", "shop", "--json").data()]


def answered(cli: "Cli", answer: str, *arguments: str) -> tuple[int, str]:
    """Run a command on a terminal, answer what it asks, and return its exit code and all that was on the terminal."""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(
            cli.command(*arguments), cwd=cli.folder, stdin=theirs, stdout=theirs, stderr=theirs,
            env=cli.environment(TERM="xterm", COLUMNS="100"),
        )  # fmt: skip
        cli.running.append(process)
        os.close(theirs)
        seen = b""
        with suppress(OSError):  # by which a terminal's end is told
            while data := terminal.read(65536):
                seen += data
                if answer and b"[y/N]: " in seen:
                    terminal.write(answer.encode() + b"\n")
                    answer = ""
        return process.wait(30), seen.decode()


def test_all_that_fit_are_cancelled_and_counted(cli: "Cli") -> None:
    fill(cli, 3)
    cli("submit", "-a", "shop", "report:build", '"x"')
    done = cli("cancel", "-a", "shop", "--action", "email:send", "--state", "scheduled", "--reason", "by hand")
    assert (done.code, done.out, done.err) == (0, "cancelled 3\nasked 0\n", "")
    assert states(cli) == ["ready", "cancelled", "cancelled", "cancelled"]
    done = cli("cancel", "-a", "shop", "--action", "email:send")
    assert (done.code, done.out, done.err) == (0, "cancelled 0\nasked 0\n", "no task fits\n")
    assert cli("cancel", "-a", "shop", "--all", "--json").data() == {"dry_run": False, "cancelled": 1, "asked": 0}


def test_a_dry_run_lists_and_counts_and_does_nothing(cli: "Cli") -> None:
    fill(cli, 3)
    done = cli("cancel", "-a", "shop", "--queue", "default", "--first", "2", "--dry-run")
    assert done.code == 0
    assert len(done.out.splitlines()) == 3, "a table's head and two tasks"
    assert done.err == "cancel would do: 2 cancelled; nothing was done\n"
    done = cli("retry", "-a", "shop", "--state", "scheduled", "--queue", "default", "--dry-run", "--json")
    assert done.data() == {"dry_run": True, "retried": 3, "refused": 0}
    assert cli("retry", "-a", "shop", "--all", "--dry-run").err == "no task fits\n"
    assert states(cli) == ["scheduled"] * 3


def test_what_failed_is_retried_and_what_waits_for_its_date_if_that_is_said(cli: "Cli") -> None:
    fill(cli, 2)
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    assert cli("submit", "-a", "shop", "email:fail", "7", "--wait").code == 1
    assert worker.end().code == 0
    assert cli("retry", "-a", "shop", "--since", "1h").out == "retried 1\nrefused 0\n"
    assert states(cli) == ["ready", "scheduled", "scheduled"]
    assert cli("retry", "-a", "shop", "--state", "scheduled", "--due-before", "2h", "--json").data()["retried"] == 2


def test_on_a_terminal_many_are_asked_for_and_a_no_is_heeded(cli: "Cli") -> None:
    fill(cli, 11)
    code, seen = answered(cli, "n", "cancel", "-a", "shop", "--all")
    assert (code, "cancel 11 tasks? [y/N]:" in seen, "nothing was done" in seen) == (1, True, True)
    assert set(states(cli)) == {"scheduled"}
    code, seen = answered(cli, "", "cancel", "-a", "shop", "--all", "--first", "1")
    assert (code, "[y/N]" in seen) == (0, False), "one is not many"
    fill(cli, 1)
    code, seen = answered(cli, "y", "cancel", "-a", "shop", "--queue", "default")
    assert (code, "cancel 11 tasks? [y/N]:" in seen, "cancelled 11" in seen) == (0, True, True)
    fill(cli, 11)
    code, seen = answered(cli, "", "cancel", "-a", "shop", "--queue", "default", "--yes")
    assert (code, "[y/N]" in seen, "cancelled 11" in seen) == (0, False, True)
    assert set(states(cli)) == {"cancelled"}


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["cancel"], "--all takes all that are waiting or running"),
        (["retry"], "--all takes all that are failed"),
        (["cancel", "--first", "3"], "which tasks?"),
        (["cancel", "0198a3c1", "--state", "ready"], "an ID means that one task"),
        (["retry", "0198a3c1", "--dry-run"], "an ID means that one task"),
        (["cancel", "--all", "--queue", "mail"], "--all takes all there are"),
        (["retry", "0198a3c1", "--json"], "--json prints the counts of a filter"),
        (["retry", "--queue", "mail", "--jsonl"], "--jsonl prints a line for each ID"),
    ],
)
def test_who_means_none_or_two_things_is_told(inside: "Inside", arguments: list[str], why: str) -> None:
    done = inside(*arguments, "-a", "shop")
    assert (done.code, done.out) == (2, "")
    assert why in done.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["cancel", "--state", "failed"], "a task that is failed cannot be cancelled"),
        (["retry", "--state", "ready"], "a task that is ready cannot be retried"),
        (["cancel", "--state", "broken"], "bad state 'broken'"),
        (["cancel", "--since", "yesterday"], "bad since 'yesterday'"),
        (["cancel", "--action", "mail"], "bad action name 'mail'"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_told(cli: "Cli", inside: "Inside", arguments: list[str], why: str) -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    done = inside(*arguments, "-a", "shop")
    assert (done.code, done.out) == (2, "")
    assert why in done.err
