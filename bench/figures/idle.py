"""What a node takes that has nothing to do."""

from __future__ import annotations

import time

from bench.measure import Effort, Figure, Line, Sample
from bench.trial import Failed, Trial
from bench.usage import cpu, pss, tree

WARM_TASKS = 1_000
SETTLE_SECONDS = 2.0


def idle(trial: Trial, effort: Effort) -> Sample:
    """CPU time over wall time, and memory at the end (PSS), of a node that has two warm runners and nothing to do.

    Of all its processes together, kernel time included: the supervisor, the process that forks runners, and the
    runners. It has worked before, 1,000 tasks. Measured once, for 60 s: shorter times would miss what a node does
    twice a minute.
    """
    with trial.pipe() as pipe, trial.worker() as worker:
        trial.submit("bench:noop", WARM_TASKS, {"blob": ""})
        trial.warm(pipe)
        return _idling(worker.pid, effort.idle_seconds)


def raw(trial: Trial, effort: Effort) -> Sample:
    """As many bare interpreters, of which one has SQLite and looks at a store each second."""
    with trial.process("bench.raw.idler", trial.store) as top:
        return _idling(top.pid, effort.idle_seconds)


def _idling(pid: int, seconds: float) -> Sample:
    time.sleep(SETTLE_SECONDS)
    processes = tree(pid)
    before, since = sum(map(cpu, processes)), time.monotonic()
    time.sleep(seconds)
    spent, passed = sum(map(cpu, processes)) - before, time.monotonic() - since
    if tree(pid) != processes:
        raise Failed("a process began or ended while the node was idle")
    return {"idle-cpu": 100 * spent / passed, "idle-pss": sum(map(pss, processes)) / 1e6}


IDLE = Figure(
    "idle",
    (
        Line("idle-cpu", "%", must=0.5, aim=0.5, less=True),
        Line("idle-pss", "MB", must=80.0, aim=45.0, less=True),
    ),
    idle,
    raw,
    once=True,
)
