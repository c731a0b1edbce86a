import json
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Done, Running

STEPS = """
import duly

app = duly.App("sqlite:///steps.db")


@app.action("steps:take")
def take(task: duly.Task, steps: int) -> int:
    for step in range(steps + 1):
        task.update({"step": step}, fraction=step / steps, message="so far")
    return steps


@app.action("steps:refuse")
def refuse(reason: str) -> None:
    return duly.Failure({"reason": reason}, retry=False)
"""


@pytest.fixture
def worker(cli: "Cli") -> "Iterator[Running]":
    worker = cli.start("worker", "-a", "shop", "-c", "2", "--quiet")
    yield worker
    worker.end()


def ended(done: "Done") -> Any:
    return json.loads(done.out)


@pytest.mark.usefixtures("worker")
def test_its_result_is_printed_and_its_id_said(cli: "Cli") -> None:
    done = cli("submit", "-a", "shop", "email:send", '"ann"', "--wait")
    assert (done.code, done.out) == (0, '"hello, ann"\n')
    assert done.err.startswith("task 01")


@pytest.mark.usefixtures("worker")
def test_one_that_fails_is_exit_1_with_its_error_said_and_nothing_printed(cli: "Cli") -> None:
    done = cli("submit", "-a", "shop", "email:fail", "7", "--wait")
    assert (done.code, done.out) == (1, "")
    assert "error: ValueError: refused with 7\nTraceback" in done.err


@pytest.mark.usefixtures("worker")
def test_json_has_the_end_whatever_it_is(cli: "Cli") -> None:
    good = ended(cli("submit", "-a", "shop", "email:send", '"ann"', "--wait", "--json"))
    assert (good["state"], good["ok"], good["value"], good["error"]) == ("succeeded", True, "hello, ann", None)
    bad = ended(cli("submit", "-a", "shop", "email:fail", "7", "--wait", "--json"))
    assert (bad["state"], bad["ok"], bad["error"]["error"]["type"]) == ("failed", False, "ValueError")


@pytest.mark.parametrize("watched", ["--wait", "--watch"])
def test_one_that_is_cancelled_is_exit_5(cli: "Cli", watched: str) -> None:
    waiting = cli.start("submit", "-a", "shop", "email:send", '"ann"', watched)
    waiting.until("no worker is at work on ")
    task_id = waiting.err.split()[1]
    assert cli("cancel", "-a", "shop", task_id, "--reason", "no more").code == 0
    done = waiting.wait()
    assert (done.code, done.out) == (5, "")
    assert 'error: Task was cancelled due to: "no more"' in done.err


@pytest.mark.parametrize("watched", ["--wait", "--watch"])
def test_waited_too_long_is_exit_124_and_the_task_goes_on(cli: "Cli", watched: str) -> None:
    done = cli("submit", "-a", "shop", "email:send", '"ann"', watched, "--wait-timeout", "50ms")
    assert (done.code, done.out) == (124, "")
    task_id = done.err.split()[1]
    assert done.err.splitlines()[-1].startswith(f"task {task_id} goes on; to stop it: duly cancel --url sqlite:////")
    assert cli("show", "-a", "shop", task_id, "--json").data()["state"] == "ready"


@pytest.mark.parametrize("watched", ["--wait", "--watch"])
def test_interrupted_it_says_that_the_task_goes_on_and_how_to_stop_it(cli: "Cli", watched: str) -> None:
    waiting = cli.start("submit", "-a", "shop", "email:send", '"ann"', watched)
    waiting.until("no worker is at work on ")
    done = waiting.end(signal.SIGINT)
    assert (done.code, done.out) == (130, "")
    task_id = done.err.split()[1]
    *_, cure, last = done.err.splitlines()
    assert (cure.split(";")[0], last) == (f"task {task_id} goes on", "interrupted")
    assert cli("show", "-a", "shop", task_id, "--json").data()["state"] == "ready"


def test_watched_it_says_what_happens_line_by_line(cli: "Cli") -> None:
    cli.write("steps.py", STEPS)
    cli.start("worker", "-a", "steps", "-c", "1", "--quiet")
    done = cli("submit", "-a", "steps", "steps:take", "4", "--watch")
    assert (done.code, done.out) == (0, "4\n")
    kinds = [line.split()[3] for line in done.err.splitlines() if "steps:take" in line]
    assert (kinds[:2], kinds[-1]) == (["init", "start"], "success")
    assert '100%  so far  {"step":4}' in done.err


def test_watched_with_jsonl_its_events_are_data_and_the_last_line_is_its_end(cli: "Cli") -> None:
    cli.write("steps.py", STEPS)
    cli.start("worker", "-a", "steps", "-c", "1", "--quiet")
    done = cli("submit", "-a", "steps", "steps:refuse", '"never"', "--watch", "--jsonl")
    assert done.code == 1
    *events, end = [json.loads(line) for line in done.out.splitlines()]
    assert [event["number"] for event in events] == list(range(1, len(events) + 1))
    assert {event["id"] for event in events} == {end["id"]}
    assert (end["state"], end["value"]) == ("failed", {"reason": "never"})


def test_on_a_terminal_it_draws_a_bar_and_leaves_the_result(cli: "Cli") -> None:
    cli.write("steps.py", STEPS)
    cli.start("worker", "-a", "steps", "-c", "1", "--quiet")
    seen = cli.on_terminal("submit", "-a", "steps", "steps:take", "4", "--watch")
    assert "success" in seen
    assert seen.rstrip().endswith("4")


@pytest.mark.parametrize("wrong", [["--jsonl"], ["--wait-timeout", "soon"], ["--wait", "--wait-timeout", "-1s"]])
def test_what_makes_no_sense_is_refused_before_anything_is_stored(cli: "Cli", wrong: list[str]) -> None:
    done = cli("submit", "-a", "shop", "email:send", '"ann"', *wrong)
    assert (done.code, done.out) == (2, "")
    assert not (cli.folder / "shop.db").exists()
