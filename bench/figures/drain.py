"""Draining many tasks that do nothing."""

from __future__ import annotations

from typing import Any

import apsw

from bench.measure import Effort, Figure, Line, Sample
from bench.raw import echoes, store
from bench.raw.store import BLOB
from bench.trial import Failed, Trial


def drain(trial: Trial, effort: Effort, worker: str = "worker") -> float:
    """Tasks per second from the first task's start to the last one's end, by the store's own record.

    100,000 no-op tasks with payloads of 100 bytes are stored before; then one node works them off, a process of its
    own with two runners, isolation `process`. Starting it and its runners does not count. What drains in less than
    the time of a repeat is followed by as many more, in a fresh store.
    """
    count, seconds = 0, 0.0
    while seconds < effort.seconds:
        trial.forget()
        trial.submit("bench:noop", effort.tasks, {"blob": BLOB})
        with trial.pipe() as pipe:
            trial.submit("bench:tell", 1, {"pipe": pipe.path}, priority="low")  # begun when all others have been
            with trial.worker(worker):
                pipe.read()
        count += effort.tasks
        seconds += _span(trial, effort.tasks)
    return count / seconds


def _span(trial: Trial, tasks: int) -> float:
    """Seconds from the first start to the last end, read when the worker is gone; all must have succeeded."""
    connection = apsw.Connection(str(trial.store), flags=apsw.SQLITE_OPEN_READONLY)
    row: Any = connection.execute(
        "select sum(ended_at is not null and cause is null), min(started_at), max(ended_at) from task"
    ).fetchone()
    connection.close()
    done, first, last = row
    if done != tasks + 1:
        raise Failed(f"{done - 1:,} of {tasks:,} tasks have succeeded")
    return float(last - first) / 1e6


def plain(trial: Trial, effort: Effort) -> Sample:
    """The node as it is."""
    return {"drain": drain(trial, effort)}


def one_in_flight(trial: Trial, effort: Effort) -> Sample:
    """The same, but each runner is handed its next task when it has answered the last (claims may be ahead)."""
    return {"drain-1": drain(trial, effort, "worker_one")}


def raw(trial: Trial, effort: Effort) -> Sample:
    """The same tasks claimed and finished by apsw alone, with their history: 500 claims and 500 ends in a commit."""
    count, seconds = 0, 0.0
    while seconds < effort.seconds:
        trial.forget()
        trial.submit("bench:noop", effort.tasks, {"blob": BLOB})
        count += effort.tasks
        seconds += store.drain(trial.store)
    return {"drain": count / seconds}


def raw_one_in_flight(_trial: Trial, effort: Effort) -> Sample:
    """Messages of a task's size sent to two forked children, one at a time each, and answered; without any store."""
    return {"drain-1": echoes.count(effort.seconds) / effort.seconds}


DRAIN = Figure("drain", (Line("drain", "/s", must=20_000, aim=60_000),), plain, raw)
DRAIN_ONE = Figure("drain-1", (Line("drain-1", "/s", must=5_000, aim=15_000),), one_in_flight, raw_one_in_flight)
