"""P1: an accepted task is never lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading

import pytest

from tests.helpers import eventually
from tests.place import ON_BOTH, ROOT

SUBMITTER = """
import os, sys
import duly
app = duly.App()
for number in range(100_000):
    handle = app.submit("shop:echo", number)
    os.write(1, f"{handle.id}\\n".encode())
"""


def submitter(place):
    return subprocess.Popen(
        [sys.executable, "-c", SUBMITTER], cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE
    )


@ON_BOTH
def test_what_submit_returned_for_is_there_though_the_submitter_is_killed_at_any_moment(place):
    place.app.submit("shop:echo", "the file exists")
    told = []
    for _ in range(4):
        with submitter(place) as process:
            lines = [process.stdout.readline() for _ in range(random.randrange(1, 200))]
            process.kill()
            told += [line.decode().strip() for line in [*lines, *process.stdout] if line.endswith(b"\n")]
    stored = {task.id for task in place.app.tasks()}
    assert len(told) > 4
    assert set(told) <= stored


@ON_BOTH
def test_a_worker_killed_in_mid_run_loses_nothing_and_the_next_one_does_the_rest(place):
    tasks = [place.app.submit("shop:work", {"seconds": 0.01, "log": place.log}) for _ in range(200)]
    first = place.start()
    eventually(lambda: len(place.lines()) > 20)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    eventually(lambda: not place.left())
    assert any(task.refresh().state != "succeeded" for task in tasks), "it was killed too late to show anything"
    place.start()
    for task in tasks:
        assert task.wait(60).state == "succeeded"


@ON_BOTH
def test_what_a_worker_is_told_to_leave_goes_to_the_next(place):
    tasks = [place.app.submit("shop:work", {"seconds": 0.02, "log": place.log}) for _ in range(100)]
    worker = place.start()
    eventually(place.lines)
    assert place.stop(worker) == 0
    assert not place.left()
    states = {task.refresh().state for task in tasks}
    assert states == {"ready", "succeeded"}, "what runs may end, what waits is given back"
    assert all(place.row(task).losses == 0 for task in tasks if task.state == "succeeded")
    place.start()
    assert all(task.wait(60).state == "succeeded" for task in tasks)
    assert len(place.lines()) == 100, "a drain makes nothing run twice"


@ON_BOTH
@pytest.mark.parametrize("victim", ["zygote", "runner"])
def test_any_other_process_of_a_worker_may_be_killed_too(place, victim):
    tasks = [place.app.submit("shop:work", {"seconds": 0.01, "log": place.log}) for _ in range(100)]
    worker = place.start()
    eventually(place.lines)
    runner = int(place.lines()[-1].split()[1])
    with open(f"/proc/{runner}/stat", encoding="ascii") as stat:
        zygote = int(stat.read().rpartition(")")[2].split()[1])
    os.kill(zygote if victim == "zygote" else runner, signal.SIGKILL)
    assert all(task.wait(60).state == "succeeded" for task in tasks)
    assert worker.poll() is None


@ON_BOTH
def test_two_workers_and_many_submitters_share_one_file(place):
    workers = [place.start(), place.start()]
    submitters = [submitter(place) for _ in range(3)]
    told = [line.decode().strip() for process in submitters for line in [process.stdout.readline() for _ in range(100)]]
    here = []
    threads = [
        threading.Thread(target=lambda: here.extend(place.app.submit("shop:echo", n) for n in range(50)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in submitters:
        process.kill()
        process.communicate()
    for task_id in [*told, *(handle.id for handle in here)]:
        result = place.app.handle(task_id).wait(60)
        assert (result.state, result.statistics.attempts) == ("succeeded", 1)
    assert [place.stop(worker) for worker in workers] == [0, 0]
    assert not place.left()
