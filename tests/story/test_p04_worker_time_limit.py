"""P4: a time limit holds whatever the code does; its process and all that it started are gone."""

from __future__ import annotations

from tests.helpers import alive, eventually

LIMIT_AND_GRACE = 0.6
AFTER_THE_GRACE = 1.0
CLOCKS_DIFFER = 0.01


def test_a_task_that_heeds_no_signal_is_killed_with_all_that_it_started(place):
    place.start()
    task = place.app.submit("shop:deaf", place.log)
    eventually(lambda: len(place.lines()) == 2)
    result = task.wait(30)
    assert (result.state, result.cause) == ("failed", "timeout")
    took = (result.statistics.ended_at - result.statistics.started_at).total_seconds()
    assert LIMIT_AND_GRACE - CLOCKS_DIFFER <= took <= LIMIT_AND_GRACE + AFTER_THE_GRACE
    assert not any(alive(int(pid)) for pid in place.lines()), "they are reaped before the outcome is told"


def test_what_is_answered_after_the_limit_is_too_late(place):
    place.start()
    task = place.app.submit(place.app.passport("shop:patient", place.log, timeout=0.2))
    result = task.wait(30)
    assert (result.state, result.cause, result.value) == ("failed", "timeout", None)
    assert place.lines()[1] == "timeout", "it was asked before it was made to"


def test_the_neighbours_of_a_killed_task_are_done_and_not_charged(place):
    place.start("--concurrency", "1")
    place.app.submit("shop:deaf", place.log)
    tasks = [place.app.submit("shop:echo", n) for n in range(100)]
    for task in tasks:
        assert task.wait(30).state == "succeeded"
        assert (place.row(task).deaths, place.row(task).losses) == (0, 0)
