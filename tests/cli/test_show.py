import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import History

FIELDS = {
    *("id", "action", "version", "queue", "state", "cause", "reason", "priority", "attempts", "deaths", "losses"),
    *("submitted_at", "run_at", "started_at", "ended_at", "paused_since", "origin", "options", "payload", "info"),
    *("value", "error"),
    "events",
}


def test_all_that_is_known_of_a_task_is_one_document(history: "History") -> None:
    shown = history.cli("show", "-a", "shop", history.ids["sent"], "--json").data()
    assert set(shown) == FIELDS
    assert (shown["state"], shown["value"], shown["error"]) == ("succeeded", "hello, ann", None)
    assert shown["submitted_at"] <= shown["started_at"] <= shown["ended_at"]
    assert [event["kind"] for event in shown["events"]] == ["init", "start", "success"]
    assert [event["number"] for event in shown["events"]] == [1, 2, 3]


def test_events_alone_come_one_a_line(history: "History") -> None:
    done = history.cli("show", "-a", "shop", history.ids["sent"], "--jsonl")
    assert [json.loads(line)["kind"] for line in done.out.splitlines()] == ["init", "start", "success"]


def test_people_see_result_and_timeline(history: "History") -> None:
    done = history.cli("show", "-a", "shop", history.ids["sent"])
    head, *lines = done.out.splitlines()
    assert head == f"email:send  {history.ids['sent']}"
    assert '  result     "hello, ann"' in lines
    assert lines[-1].split()[-1] == "success"


def test_the_end_of_what_a_failed_attempt_printed_is_shown(history: "History") -> None:
    lines = history.cli("show", "-a", "shop", history.ids["failed"]).out.splitlines()
    head = lines.index("  printed    the last of 30 lines")
    assert lines[head + 1 : head + 22] == [*(f"    line {number}" for number in range(10, 30)), ""]
    shown = history.cli("show", "-a", "shop", history.ids["failed"], "--json").data()
    assert shown["events"][-1]["data"]["output"].startswith("line 0\nline 1\n")
    assert "printed" not in history.cli("show", "-a", "shop", history.ids["sent"]).out


def test_a_failed_task_shows_the_users_traceback_and_each_attempt(history: "History") -> None:
    done = history.cli("show", "-a", "shop", history.ids["failed"])
    assert done.code == 0
    assert "failed: error" in done.out
    assert "ValueError: refused with 7" in done.out
    assert "shop.py" in done.out
    assert "ValueError: refused with 7; again in 0 ms" in done.out
    shown = history.cli("show", "-a", "shop", history.ids["failed"], "--json").data()
    told = [(event["kind"], event["attempt"]) for event in shown["events"]]
    assert told == [("init", 0), ("start", 1), ("retry", 1), ("start", 2), ("fail", 2)]
    error = shown["error"]
    assert (error["code"], error["cause"], error["error"]["type"]) == ("failed", "error", "ValueError")


def test_a_cancelled_task_shows_the_reason(history: "History") -> None:
    shown = history.cli("show", "-a", "shop", history.ids["dropped"], "--json").data()
    assert (shown["state"], shown["cause"], shown["reason"]) == ("cancelled", "cancel", "\x1b[31mby hand")
    assert shown["error"]["code"] == "cancelled"


@pytest.mark.parametrize("part", [slice(24, None), slice(None, 23), slice(28, None)])
def test_a_part_of_the_id_will_do(history: "History", part: slice) -> None:
    shown = history.cli("show", "-a", "shop", history.ids["later"][part].upper(), "--json").data()
    assert shown["id"] == history.ids["later"]
