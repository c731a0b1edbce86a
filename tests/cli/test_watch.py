import json
import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History


def test_each_event_is_a_line_from_the_first_on_and_the_worst_end_is_the_exit_code(history: "History") -> None:
    ids = [history.ids[name] for name in ("sent", "failed", "dropped")]
    done = history.cli("watch", "-a", "shop", *ids)
    assert done.code == 1
    assert [line.split()[3] for line in done.out.splitlines() if ids[0][-12:] in line] == ["init", "start", "success"]
    assert {line.split()[1] for line in done.out.splitlines()} == {task_id[-12:] for task_id in ids}


@pytest.mark.parametrize(("name", "code"), [("sent", 0), ("failed", 1), ("dropped", 5)])
def test_the_exit_code_says_how_it_ended(history: "History", name: str, code: int) -> None:
    assert history.cli("watch", "-a", "shop", history.ids[name]).code == code


def test_jsonl_has_all_events_with_their_task(history: "History") -> None:
    done = history.cli("watch", "-a", "shop", history.ids["sent"], "--jsonl")
    events = [json.loads(line) for line in done.out.splitlines()]
    assert [event["number"] for event in events] == [1, 2, 3]
    assert {(event["id"], event["action"]) for event in events} == {(history.ids["sent"], "email:send")}


def test_it_follows_what_goes_on_until_the_end_and_new_ones_of_an_action_too(cli: "Cli") -> None:
    first = cli("submit", "-a", "shop", "report:build", '"go"').out.strip()
    watch = cli.start("watch", "-a", "shop", "--action", "report:build", "--jsonl")
    worker = cli.start("worker", "-a", "shop", "-c", "2")
    worker.until(f"begun {first}")
    second = cli("submit", "-a", "shop", "report:build", '"go"').out.strip()
    worker.until(f"begun {second}")
    cli.write("go", "")
    done = watch.wait()
    assert done.code == 0
    events = [json.loads(line) for line in done.out.splitlines()]
    for task_id in (first, second):
        assert [event["kind"] for event in events if event["id"] == task_id] == ["init", "start", "success"]
    worker.end()


def test_interrupted_or_too_long_it_leaves_the_task_alone(cli: "Cli") -> None:
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    assert cli("watch", "-a", "shop", task_id, "--timeout", "50ms").code == 124
    watch = cli.start("watch", "-a", "shop", task_id, PYTHONUNBUFFERED="1")
    assert watch.process.stdout is not None
    assert b"init" in watch.process.stdout.readline()
    assert watch.end(signal.SIGINT).code == 130
    assert cli("show", "-a", "shop", task_id, "--json").data()["state"] == "ready"


def test_an_action_of_which_nothing_goes_on_is_no_error(history: "History") -> None:
    done = history.cli("watch", "-a", "shop", "--action", "email:fail")
    assert (done.code, done.out, done.err) == (0, "", "no task of email:fail waits or runs\n")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "what is to be watched?"),
        (["5b0e8c2a6f13", "--action", "email:send"], 2, "either some IDs, or --action NAME"),
        (["--action", "Not An Action"], 2, "Not An Action"),
        (["00000000-0000-7000-8000-000000000000"], 3, "there is no task 00000000-"),
        (["zzzzzzzzzzzz"], 3, "there is no task zzzzzzzzzzzz"),
    ],
)
def test_what_cannot_be_watched_is_said(history: "History", arguments: list[str], code: int, said: str) -> None:
    done = history.cli("watch", "-a", "shop", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_on_a_terminal_a_line_for_each_task_is_left(history: "History") -> None:
    seen = history.cli.on_terminal("watch", "-a", "shop", history.ids["sent"], history.ids["sent"])
    assert f"{history.ids['sent']}  email:send" in seen
    assert "succeeded" in seen
