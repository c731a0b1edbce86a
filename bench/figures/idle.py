"""What a node takes that has nothing to do."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from bench.measure import Effort, Figure, Line, Sample
from bench.trial import Failed, Trial

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
    tree = _tree(pid)
    before, since = sum(map(_cpu, tree)), time.monotonic()
    time.sleep(seconds)
    spent, passed = sum(map(_cpu, tree)) - before, time.monotonic() - since
    if _tree(pid) != tree:
        raise Failed("a process began or ended while the node was idle")
    return {"idle-cpu": 100 * spent / passed, "idle-pss": sum(map(_pss, tree)) / 1e6}


def _tree(pid: int) -> set[int]:
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}


def _cpu(pid: int) -> float:
    """Seconds of CPU time of all threads of a process; /proc counts in hundredths, which is too coarse here."""
    return time.clock_gettime((~pid << 3) | 2)  # the number of another process's clock: see clock_getcpuclockid(3)


def _pss(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise Failed("this kernel does not tell memory that is shared")


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
