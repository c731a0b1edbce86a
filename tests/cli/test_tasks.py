import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import History, Inside

FIELDS = {
    *("id", "action", "version", "queue", "state", "cause", "priority", "attempts"),
    *("submitted_at", "run_at", "started_at", "ended_at", "paused_since"),
}


def test_tasks_are_an_array_the_newest_first(history: "History") -> None:
    tasks = history.cli("tasks", "-a", "shop", "--json").data()
    assert [task["id"] for task in tasks] == [*reversed(history.ids.values())]
    assert set(tasks[0]) == FIELDS


def test_tasks_come_one_a_line_as_a_stream(history: "History") -> None:
    lines = history.cli("tasks", "-a", "shop", "--jsonl").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [*reversed(history.ids.values())]


def test_no_tasks_are_an_empty_array(history: "History") -> None:
    assert history.cli("tasks", "-a", "shop", "--json", "--queue", "nosuch").data() == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["--state", "failed"], {"failed"}),
        (["--state", "ended"], {"sent", "failed", "dropped"}),
        (["--state", "waiting"], {"later", "strange"}),
        (["--state", "failed", "--state", "succeeded"], {"failed", "sent"}),
        (["--action", "email:fail"], {"failed"}),
        (["--first", "2"], {"strange", "dropped"}),
        (["--since", "1h"], {"sent", "failed", "later", "dropped", "strange"}),
        (["--since", "0s"], set()),
        (["--since", "2100-01-01"], set()),
    ],
)
def test_filters_choose(history: "History", wanted: list[str], found: set[str]) -> None:
    tasks = history.cli("tasks", "-a", "shop", "--json", *wanted).data()
    assert {task["id"] for task in tasks} == {history.ids[name] for name in found}


def test_by_date_lists_what_comes_next_first(history: "History") -> None:
    tasks = history.cli("tasks", "-a", "shop", "--json", "--by", "date", "--action", "email:send").data()
    assert [task["id"] for task in tasks] == [history.ids["later"], history.ids["dropped"]]


def test_people_see_columns_and_whether_there_is_more(history: "History") -> None:
    done = history.cli("tasks", "-a", "shop", "--first", "3")
    head, *lines = done.out.splitlines()
    assert head.split() == ["id", "action", "queue", "state", "attempts", "submitted", "took"]
    assert [line.split()[0] for line in lines] == [*reversed(history.ids.values())][:3]
    assert done.err == "these are the first 3; --first N shows more\n"
    assert history.cli("tasks", "-a", "shop").err == ""


def test_a_terminal_has_short_ids_colours_and_times_from_now(history: "History") -> None:
    head, *lines = history.cli.on_terminal("tasks", "-a", "shop").splitlines()
    assert head.startswith("\x1b[1mid ")
    assert [line.split()[0] for line in lines] == [task_id[-12:] for task_id in reversed(history.ids.values())]
    assert "\x1b[31mfailed (error)" in lines[3]
    assert "due in " in lines[2]
    plain = history.cli.on_terminal("tasks", "-a", "shop", NO_COLOR="1")
    assert "\x1b" not in plain
    assert "\x1b" not in history.cli.on_terminal("tasks", "-a", "shop", "--color", "never")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["--state", "fialed"], "bad state 'fialed': scheduled, parked"),
        (["--since", "yesterday"], "+01:00', or a length ago like '90s'"),
        (["--state", "cancelling"], "bad state 'cancelling': it is found by running or waiting"),
        (["--action", "Send"], "bad action name 'Send'"),
        (["--by", "size"], "'size' is not one of"),
    ],
)
def test_filters_that_cannot_be_read_are_refused(
    history: "History", inside: "Inside", wanted: list[str], said: str
) -> None:
    done = inside("tasks", "-a", "shop", *wanted, folder=history.cli.folder)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "nobody has heard" not in done.err
