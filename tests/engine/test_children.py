"""`task.submit`: tasks that are stored with their parent's success, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.app import App
from tests.engine import family
from tests.engine.making import SECONDS
from tests.helpers import eventually

MIB = 1024 * 1024
QUICK = duly.Backoff(first=0.01, most=0.02)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(f"sqlite:///{tmp_path}/tasks.db", max_payload=MIB) as app:
        app.action("family:echo", queue="default", priority="high", version=3)(family.echo)
        yield app


def children(app: App) -> dict[str, duly.TaskInfo]:
    return {task.id: task for task in app.tasks(action="family:echo")}


def test_they_are_stored_with_the_success_and_run(app: App) -> None:
    bear = app.action("family:bear")(family.bear)
    with app.worker(2):
        told = bear.submit([1, "two", None]).result(timeout=SECONDS)
        assert len(told) == 4
        assert [app.handle(child).result(timeout=SECONDS) for child in told[:3]] == [1, "two", None]
    found = children(app)
    assert found.keys() == set(told)
    assert {found[child].priority for child in told[:3]} == {"low"}
    assert {found[child].version for child in told[:3]} == {3}, "the newest that is declared"


@pytest.mark.parametrize("end", ["raise", "die", "hang"])
def test_an_attempt_that_does_not_succeed_leaves_none_and_the_next_has_its_own(app: App, end: str) -> None:
    bear = app.action("family:bear", timeout=1, grace=0.2, retry=QUICK)(family.bear)
    with app.worker(2):
        handle = bear.submit([1, 2], end)
        told = handle.result(timeout=SECONDS)
    assert handle.wait().statistics.attempts == 2
    assert children(app).keys() == set(told)


@pytest.mark.parametrize("isolation", ["fresh", "shared"])
def test_in_a_fresh_process_and_among_many_coroutines_it_is_the_same(app: App, isolation: Any) -> None:
    raising = app.action("family:raise", isolation=isolation, max_attempts=1)(family.raise_many)
    with app.worker(2):
        handles = app.submit_many(raising.passport(n) for n in range(60))
        told = [handle.result(timeout=SECONDS) for handle in handles]
    assert [value for value, _ in told] == list(range(60))
    assert {task.id for task in app.tasks(action="family:none")} == {child for _, child in told}


@pytest.mark.parametrize("answer", ["failure", "snooze"])
def test_a_no_and_a_later_are_no_success(app: App, answer: str) -> None:
    bear = app.action("family:answer")(family.bear_and_answer)
    with app.worker(1):
        handle = bear.submit(answer)
        eventually(lambda: handle.refresh().state == ("failed" if answer == "failure" else "scheduled"))
    assert not children(app)


def test_a_success_that_a_cancel_came_before_leaves_none(app: App) -> None:
    bear = app.action("family:bear", grace=5)(family.bear)
    with app.worker(1):
        handle = bear.submit([1], "cancel")
        assert handle.wait(SECONDS).state == "cancelled"
    assert "rejected" in [event.kind for event in handle.events()]
    assert not children(app)


def test_large_ones_are_stored_whole(app: App) -> None:
    bear = app.action("family:bear_large")(family.bear_one_large)
    with app.worker(1):
        child = bear.submit(MIB - 100).result(timeout=SECONDS)
        assert app.handle(child).result(timeout=SECONDS) == "x" * (MIB - 100)
        handle = bear.using(max_attempts=1).submit(MIB)
        error = handle.wait(SECONDS).error
    assert error is not None
    assert (error.type, error.code) == ("duly.errors.PayloadInvalid", "payload_invalid")


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("task.submit('no name')", "action_invalid", "no name"),
        ("task.submit('family:echo', {'no': 1})", "payload_invalid", "no"),
        ("task.submit('family:echo', {'value': {1}})", "payload_invalid", "set"),
        ("task.submit('family:echo', 1, priority='huge')", "option_invalid", "huge"),
        ("task.submit('family:echo', 1, queue='No Queue')", "action_invalid", "No Queue"),
        ("task.submit('family:echo', 1, deadline=1)", "not_available", "deadline"),
        ("task.submit(app.passport('family:echo', 1), 2)", "option_invalid", "already"),
        ("[task.submit('family:echo', n) for n in range(10_001)]", "payload_invalid", "10,000"),
        ("[task.submit('family:echo', 'x' * 900_000) for n in range(10)]", "payload_invalid", "in all"),
    ],
)
def test_what_is_refused_is_refused_in_the_handler(app: App, what: str, code: str, words: str) -> None:
    action = app.action("family:try_to", max_attempts=1)(family.try_to)
    with app.worker(1):
        told = action.submit(what).result(timeout=SECONDS)
    assert told[0] == code
    assert words in told[1]


def test_ten_thousand_go_with_one_success(app: App) -> None:
    action = app.action("family:try_to", max_attempts=1)(family.try_to)
    app._actions.pop(("family:echo", 3))
    with app.worker(1):
        told: Any = action.submit("[task.submit('family:none', n) for n in range(10_000)]").result(timeout=SECONDS)
    assert told == ["done", ""]
    assert len(list(app.tasks(action="family:none"))) == 10_000


def test_children_of_an_action_that_was_never_asked_for_end_the_task_as_invalid(app: App) -> None:
    action = app.action("family:strangers", timeout=5, grace=0.2)(family.bear_strangers)
    with app.worker(1):
        handle = action.submit("1")  # the store's first task has the key 1
        assert handle.wait(SECONDS).cause == "invalid"
        assert app.submit("family:echo", {"value": 1}).result(timeout=SECONDS) == 1
