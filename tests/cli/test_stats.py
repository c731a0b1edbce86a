import json
from typing import TYPE_CHECKING

from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History

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
