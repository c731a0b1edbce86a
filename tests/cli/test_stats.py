import json
import os
import pty
import signal
import subprocess
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from duly.cli.gauge import Rates, rates
from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History, Running

NONE = dict.fromkeys(("scheduled", "ready", "running", "cancelling", "succeeded", "failed", "cancelled", "expired"), 0)


def test_every_task_is_counted_once_by_action_and_state(history: "History") -> None:
    told = history.cli("stats", "-a", "shop", "--json").data()
    assert told["tasks"] == NONE | {"scheduled": 1, "ready": 1, "succeeded": 1, "failed": 1, "cancelled": 1}
    rows = {row["action"]: row for row in told["actions"]}
    assert rows["email:send"]["tasks"] == NONE | {"scheduled": 1, "succeeded": 1, "cancelled": 1}
    assert rows["email:send"]["next_due_at"] is not None
    assert rows["email:strange"]["ready_since"] is not None
    assert {name: row["declared"] for name, row in rows.items()} == {
        "email:send": True, "email:fail": True, "email:strange": False,
    }  # fmt: skip
    assert told["workers"] == []


def test_without_an_app_nobody_knows_what_is_declared(history: "History") -> None:
    told = history.cli("stats", "--url", "sqlite:///shop.db", "--json").data()
    assert {row["declared"] for row in told["actions"]} == {None}


def test_the_table_has_the_states_there_are_and_what_nobody_serves_is_said(history: "History") -> None:
    done = history.cli("stats", "-a", "shop")
    head, *rows = done.out.splitlines()
    assert head.split() == [
        "action", "queue", "scheduled", "ready", "running", "succeeded", "failed", "cancelled", "oldest", "ready",
    ]  # fmt: skip
    assert rows[1].split()[:8] == ["email:send", "default", "1", "0", "0", "1", "0", "1"]
    assert rows[-1] == "0 workers at work"
    assert done.err.splitlines() == [
        "2 tasks wait, and no worker is at work: start one by duly worker -a ...",
        "1 task waits for email:strange v1, which the App does not declare",
    ]


def test_what_runs_is_told_with_the_worker_that_runs_it(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "report:build", '"never"')
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    worker.until("begun")

    def told() -> bool:
        stats = json.loads(cli("stats", "-a", "shop", "--json").out)
        return [one["lives"] and one["running"] for one in stats["workers"]] == [1] and bool(
            stats["actions"][0]["running_since"]
        )

    eventually(told)
    done = cli("stats", "-a", "shop")
    assert "1 worker at work" in done.out
    assert "runs 1 task, since" in done.out
    assert done.err == ""


def test_a_store_that_is_not_there_is_exit_4(cli: "Cli") -> None:
    done = cli("stats", "-a", "shop")
    assert (done.code, done.out) == (4, "")


def test_it_watches_until_it_is_interrupted(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    watching = cli.start("stats", "-a", "shop", "--watch", "--every", "50ms", "--json")
    assert watching.process.stdout is not None
    first = json.loads(watching.process.stdout.readline())
    assert (first["tasks"]["ready"], first["submitted_per_second"], first["ended_per_second"]) == (1, None, None)
    cli("submit", "-a", "shop", "email:send", '"ann"')
    later = first
    while not later["submitted_per_second"]:
        later = line(watching)
    assert later["tasks"]["ready"] == 2
    assert later["ready_since"] == first["ready_since"]
    assert watching.end(signal.SIGINT).code == 0


def line(watching: "Running") -> dict[str, Any]:
    assert watching.process.stdout is not None
    told: dict[str, Any] = json.loads(watching.process.stdout.readline())
    return told


def test_elsewhere_one_report_comes_after_another(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    watching = cli.start("stats", "-a", "shop", "--watch", "--every", "50ms")
    assert watching.process.stdout is not None
    told = [watching.process.stdout.readline().decode() for _ in range(12)]
    assert "counting; the oldest that is ready waits for" in told[0]
    assert told[2].split()[:4] == ["email:send", "default", "1", "0"]
    assert "0.0 submitted/s, 0.0 ended/s; the oldest" in "".join(told[1:])
    assert watching.end(signal.SIGINT).code == 0


def test_on_a_terminal_it_is_drawn_in_place(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    ours, theirs = pty.openpty()
    command = cli.command("stats", "-a", "shop", "--watch", "--every", "50ms")
    process = subprocess.Popen(
        command, cwd=cli.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=cli.environment(TERM="xterm")
    )
    cli.running.append(process)
    os.close(theirs)
    seen = b""
    while seen.count(b"ended/s") < 2:
        seen += os.read(ours, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    os.close(ours)
    assert b"\x1b[1A" in seen, "the cursor goes up"


class Look(NamedTuple):
    submitted: int
    open: int
    ready_since: datetime | None = None


def test_rates_count_what_came_and_went_between_two_looks() -> None:
    assert rates(None, Look(5, 5), 1) == Rates(None, None)
    assert rates(Look(10, 5), Look(30, 15), 2) == Rates(10.0, 5.0)
    assert rates(Look(10, 5), Look(10, 6), 2) == Rates(0.0, 0.0), "one was retried"


def test_it_rests_between_two_looks_though_told_not_to(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    watching = cli.start("stats", "-a", "shop", "--watch", "--every", "0", "--json")
    at = [datetime.fromisoformat(line(watching)["at"]) for _ in range(4)]
    assert watching.end(signal.SIGINT).code == 0
    assert (at[-1] - at[0]).total_seconds() >= 0.3


def test_how_often_is_said_of_watching_alone(cli: "Cli") -> None:
    done = cli("stats", "-a", "shop", "--every", "1s")
    assert (done.code, "add --watch" in done.err) == (2, True)
