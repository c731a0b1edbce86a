"""P2: a task may run more than once; its outcome is recorded once."""

from __future__ import annotations

import os
import signal
import threading

from tests.helpers import eventually
from tests.place import ON_BOTH

TASKS = 2000
KILL_SECONDS = 0.3


@ON_BOTH
def test_short_tasks_all_succeed_once_though_the_worker_is_killed_every_300_ms(place):
    passports = (
        place.app.passport("shop:work", {"seconds": (n % 10 + 1) / 1000, "log": place.log})
        for n in range(place.share(TASKS))
    )
    tasks = place.app.submit_many(passports)
    pacer, kills = threading.Event(), 0
    while next(place.app.tasks(state="waiting", first=1), None) is not None:
        worker, done = place.start(), len(place.lines())
        eventually(lambda: len(place.lines()) > done)  # noqa: B023 - it is called here and now
        pacer.wait(KILL_SECONDS)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        kills += 1
    last = place.start()
    for task in tasks:
        assert task.wait(60).state == "succeeded"
        assert [kind for kind in place.kinds(task) if kind in ("success", "fail", "end")] == ["success"]
    assert {line.split()[0] for line in place.lines()} == {task.id for task in tasks}
    assert kills > place.share(30) // 10
    assert place.stop(last) == 0
    assert not place.left()


@ON_BOTH
def test_a_runner_does_not_outlive_its_killed_worker_and_only_the_second_run_counts(place):
    task = place.app.submit("shop:work", {"seconds": 0.4, "log": place.log})
    first = place.start()
    eventually(place.lines)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    eventually(lambda: not place.left())
    place.start()
    result = task.wait(60)
    pids = [int(line.split()[1]) for line in place.lines()]
    assert len(pids) == 2
    assert result.value == pids[1]
    assert (result.statistics.attempts, place.row(task).losses) == (1, 1)
