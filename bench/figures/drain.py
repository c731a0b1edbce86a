"""Draining many tasks that do nothing."""

from __future__ import annotations

import time
from pathlib import Path

from bench.measure import Effort, Figure, Line, Sample
from bench.raw import echoes, store
from bench.raw.store import BLOB
from bench.trial import PATIENCE, Failed, Trial

QUIET_SECONDS = 0.5
"""A node that has written nothing for so long may have written all it had to, or stand still."""


def drain(
    trial: Trial, effort: Effort, worker: str = "worker", action: str = "bench:noop", tasks: int | None = None
) -> float:
    """Tasks per second from the first one's start, just after the first claim's commit, to the last commit.

    100,000 no-op tasks with payloads of 100 bytes are stored before; then one node works them off, a process of its
    own with two runners, isolation `process`. Starting it and its runners does not count. What drains in less than
    the time of a repeat is drained again, from a copy of the store.
    """
    tasks = tasks or effort.tasks
    with trial.pipe() as pipe:
        trial.submit(action, tasks, {"blob": BLOB})
        trial.submit("bench:tell", 1, {"pipe": pipe.path}, priority="low")  # begun when all others have been
        trial.keep()
        count, seconds = 0, 0.0
        while seconds < effort.seconds:
            trial.restore()
            with trial.worker(worker):
                pipe.read(2 * PATIENCE)
                last = last_commit(trial)
            count += tasks
            seconds += last - _first_start(trial, tasks)
    return count / seconds


def last_commit(trial: Trial) -> float:
    """When the log was written last, seen from outside, in seconds since 1970; waits until all there is to do is done.

    The store is looked into only when the log has not been written for some time, not to disturb what is measured.
    """
    log = Path(f"{trial.store}-wal")
    until = time.time() + PATIENCE
    while (now := time.time()) < until:
        last = log.stat().st_mtime
        if now - last > QUIET_SECONDS and trial.read("select count(*) from task where ended_at is null") == (0,):
            return last
        time.sleep(QUIET_SECONDS / 2)
    raise Failed("the node goes on writing though nothing is left to do")


def _first_start(trial: Trial, tasks: int) -> float:
    """When the first task began, by the store's record, read when the worker is gone; all must have succeeded."""
    done, first = trial.read("select sum(ended_at is not null and cause is null), min(started_at) from task")
    if done != tasks + 1:
        raise Failed(f"{done - 1:,} of {tasks:,} tasks have succeeded")
    return float(first) / 1e6


def plain(trial: Trial, effort: Effort) -> Sample:
    """The node as it is."""
    return {"drain": drain(trial, effort)}


def one_in_flight(trial: Trial, effort: Effort) -> Sample:
    """The same, but each runner is handed its next task when it has answered the last (claims may be ahead)."""
    return {"drain-1": drain(trial, effort, "worker_one")}


def raw(trial: Trial, effort: Effort) -> Sample:
    """The same tasks claimed and finished by apsw alone, with their history: 500 claims and 500 ends in a commit."""
    trial.submit("bench:noop", effort.tasks, {"blob": BLOB})
    trial.keep()
    count, seconds = 0, 0.0
    while seconds < effort.seconds:
        trial.restore()
        count += effort.tasks
        seconds += store.drain(trial.store)
    return {"drain": count / seconds}


def raw_one_in_flight(_trial: Trial, effort: Effort) -> Sample:
    """Messages of a task's size sent to two forked children, one at a time each, and answered; without any store."""
    return {"drain-1": echoes.count(effort.seconds) / effort.seconds}


DRAIN = Figure("drain", (Line("drain", "/s", must=20_000, aim=60_000),), plain, raw)
DRAIN_ONE = Figure("drain-1", (Line("drain-1", "/s", must=5_000, aim=15_000),), one_in_flight, raw_one_in_flight)
