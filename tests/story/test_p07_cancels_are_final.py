"""P7: an accepted cancel is final: no later write revives the task."""

from __future__ import annotations

import os
import signal

import pytest

import duly
from tests.helpers import alive, eventually
from tests.place import ON_BOTH


@ON_BOTH
def test_a_task_that_has_not_begun_never_does(place):
    task = place.app.submit("shop:order", {"name": "never", "log": place.log})
    assert task.cancel("not needed") == "cancelled"
    place.start()
    place.app.submit("shop:order", {"name": "other", "log": place.log}).result(timeout=30)
    assert place.lines() == ["other"]
    with pytest.raises(duly.TaskCancelled, match="not needed"):
        task.result()


@ON_BOTH
def test_a_running_task_is_asked_and_what_it_answers_is_too_late(place):
    place.start()
    task = place.app.submit("shop:patient", place.log)
    eventually(lambda: "start" in place.kinds(task))
    assert task.cancel("enough", wait=30) == "asked"
    assert (task.refresh().state, place.lines()[1]) == ("cancelled", "cancel")
    assert place.kinds(task) == ["init", "start", "verdict", "rejected", "cancel"]


@ON_BOTH
def test_a_task_that_does_not_heed_is_killed_with_all_that_it_started(place):
    place.start()
    task = place.app.submit(place.app.passport("shop:deaf", place.log, timeout="1m"))
    eventually(lambda: len(place.lines()) == 2)
    assert task.cancel(wait=30) == "asked"
    assert task.refresh().state == "cancelled"
    assert not any(alive(int(pid)) for pid in place.lines())


@ON_BOTH
def test_an_accepted_cancel_survives_the_death_of_the_worker(place):
    worker = place.start()
    task = place.app.submit("shop:patient", place.log)
    eventually(lambda: "start" in place.kinds(task))
    os.kill(worker.pid, signal.SIGSTOP)
    assert task.cancel() == "asked"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    place.start()
    assert task.wait(30).state == "cancelled"
    assert place.kinds(task).count("start") == 1, "it was not begun again"


@ON_BOTH
def test_what_has_ended_stays_so(place):
    place.start()
    task = place.app.submit("shop:echo", 1)
    assert task.result(timeout=30) == 1
    assert task.cancel() == "ended"
    assert task.refresh().state == "succeeded"
