"""P3: no task code runs in a worker's supervisor, and none is given a handle, secret or path of the store."""

from __future__ import annotations

import os
import signal

from tests.helpers import alive, eventually


def test_a_task_runs_in_another_process_and_is_told_nothing_of_the_store(place):
    worker = place.start()
    told = place.app.submit("shop:reveal").result(timeout=30)
    assert not [name for name in told["environment"] if name.startswith("DULY_") and name != "DULY_NODE"]
    assert not [value for value in told["environment"].values() if "duly.db" in value]
    assert not [file for file in told["files"] if "duly.db" in file]
    assert "duly.db" not in told["command"]
    assert worker.pid != told["parent"], "between the two is the process that forks runners"


def test_a_task_that_hangs_keeps_nothing_else_from_being_done(place):
    place.start("--concurrency", "2")
    place.app.submit("shop:hang", place.log)
    eventually(place.lines)
    assert [place.app.submit("shop:echo", n).result(timeout=30) for n in range(50)] == list(range(50))


def test_a_task_does_not_outlive_its_worker(place):
    worker = place.start()
    place.app.submit("shop:deaf", place.log)
    eventually(lambda: len(place.lines()) == 2)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    stray, runner = sorted(map(int, place.lines()))
    eventually(lambda: not alive(runner), 5)
    place.start()
    eventually(lambda: not alive(stray), 5)
