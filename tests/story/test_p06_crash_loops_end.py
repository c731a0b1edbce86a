"""P6: a crash loop ends; innocent neighbours are not charged."""

from __future__ import annotations

import signal

import pytest

import duly
from tests.helpers import eventually
from tests.place import ON_BOTH, ON_BOTH_IN_SOAK


@ON_BOTH
def test_after_three_deaths_a_task_is_quarantined_and_its_neighbours_are_done(place):
    place.start("--concurrency", "1")
    neighbours = [place.app.submit("shop:echo", n) for n in range(50)]
    killer = place.app.submit("shop:die")
    neighbours += [place.app.submit("shop:echo", n) for n in range(50)]
    with pytest.raises(duly.TaskDied) as caught:
        killer.result(timeout=60)
    assert (caught.value.cause, caught.value.signal) == ("quarantined", signal.SIGKILL)
    assert (place.row(killer).deaths, place.row(killer).state) == (3, 5)
    assert place.kinds(killer).count("start") == 3
    for task in neighbours:
        assert task.wait(60).state == "succeeded"
        assert (place.row(task).deaths, place.row(task).attempt) == (0, 1)


@ON_BOTH_IN_SOAK
def test_a_task_that_kills_its_worker_is_found_out_and_ends_too(place):
    killer = place.app.submit("shop:kill_node", place.log)
    neighbours = [place.app.submit("shop:echo", n) for n in range(20)]
    lives = 0
    while killer.refresh().state not in ("failed", "succeeded") and lives < 12:
        lives += 1
        place.start().wait(60)
        eventually(lambda: not [node for node, lives in place.app.nodes() if lives])
        if len(place.lines()) == 5:
            place.start()
            killer.wait(60)
    assert killer.refresh().state == "failed"
    assert (place.row(killer).cause, place.row(killer).losses, place.row(killer).deaths) == ("quarantined", 2, 3)
    for task in neighbours:
        assert task.wait(60).state == "succeeded"
        assert place.row(task).deaths == 0


@ON_BOTH
def test_a_signal_that_kills_is_named(place):
    place.start()
    task = place.app.submit(place.app.passport("shop:die", {"number": int(signal.SIGSEGV)}, max_attempts=1))
    with pytest.raises(duly.TaskDied, match="SIGSEGV") as caught:
        task.result(timeout=60)
    assert (caught.value.cause, caught.value.signal) == ("died", signal.SIGSEGV)
