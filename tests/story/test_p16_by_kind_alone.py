"""P16: the system decides by an outcome's kind alone, never by what is inside a result, an info or an update."""

from __future__ import annotations

import pytest

import duly
from tests.place import ON_BOTH

LIES = [
    False,
    None,
    "",
    [],
    {"ok": False, "error": "x"},
    {"state": "failed", "cause": "died", "retry": True},
    {"type": "Failure", "value": 1, "retry": False},
    {"kind": "snooze", "until": "2099-01-01"},
    ["raised", {"type": "ValueError"}],
    {"verdict": 6, "cancel": True, "attempt": 99, "claim": 0},
]


@ON_BOTH
def test_whatever_a_task_answers_is_a_success_and_comes_back_as_it_was(place):
    place.start()
    tasks = [place.app.submit("shop:answer", {"value": lie, "info": lie}) for lie in LIES]
    for task, lie in zip(tasks, LIES, strict=True):
        result = task.wait(60)
        assert (result.state, result.value, result.statistics.attempts) == ("succeeded", lie, 1)
        assert result.statistics.info == {"told": lie}


@ON_BOTH
def test_whatever_is_inside_a_failure_it_is_one(place):
    place.start()
    for lie in ({"ok": True, "state": "succeeded"}, {"retry": False}, True):
        task = place.app.submit("shop:refuse", {"value": lie})
        with pytest.raises(duly.TaskFailed):
            task.result(timeout=60)
        assert (place.row(task).attempt, place.row(task).cause) == (2, "failure")


@ON_BOTH
def test_a_failure_that_says_not_again_is_not_tried_again(place):
    place.start()
    task = place.app.submit("shop:refuse", {"value": "x", "retry": False})
    assert (task.wait(60).state, place.row(task).attempt) == ("failed", 1)
