"""Draining with many more tasks waiting."""

from __future__ import annotations

import time
from statistics import median

from bench.figures.drain import last_commit
from bench.measure import Effort, Figure, Line, Sample
from bench.raw.store import BLOB
from bench.trial import PATIENCE, Failed, Pipe, Trial

FEW = 10_000
ROUNDS = 3
TELLS = 3 * ROUNDS
"""A task that tells follows each 10,000: so many of them last for all rounds."""


def deep(trial: Trial, effort: Effort) -> Sample:
    """How many times the rate of 10,000 tasks with 10,000 waiting it is with 1,000,000 waiting (200,000 if quick).

    No-op tasks as for `drain`, of both in turn, each time by a new worker: from the first start until 10,000 have
    ended, by the store's record. The median of three rounds.
    """
    few, many = trial.beside("few"), trial.beside("many")
    with few.pipe() as few_pipe, many.pipe() as many_pipe:
        _fill(few, FEW, few_pipe.path, tells=1)
        few.keep()
        _fill(many, effort.waiting, many_pipe.path, TELLS)
        rates = []
        for _ in range(ROUNDS):
            few.restore()
            with_few = _run(few, few_pipe, tells=1)
            with_many = _run(many, many_pipe, tells=2)  # between two lie 10,000, whatever the last round has left over
            rates.append((with_many, with_few))
    ratio = median(with_many / with_few for with_many, with_few in rates)
    return {"deep": ratio, "rate with many": median(m for m, _ in rates), "with few": median(f for _, f in rates)}


def _run(trial: Trial, pipe: Pipe, tells: int) -> float:
    """Have a worker until so many have told; return the tasks that it ended per second."""
    since = time.time_ns() // 1000
    with trial.worker():
        for _ in range(tells):
            pipe.read(2 * PATIENCE)
        if tells == 1:
            last_commit(trial)  # what runs beside the one that tells is to end, too
    return _rate(trial, since)


def _fill(trial: Trial, tasks: int, pipe: str, tells: int) -> None:
    for _ in range(tells):
        trial.submit("bench:noop", FEW, {"blob": BLOB})
        trial.submit("bench:tell", 1, {"pipe": pipe})
    if tasks > tells * FEW:
        trial.submit("bench:noop", tasks - tells * FEW, {"blob": BLOB})


def _rate(trial: Trial, since: int) -> float:
    """Tasks per second of the first 10,000 that the worker has ended that began then; it must be gone."""
    first, last = trial.read(
        "select min(started_at), (select ended_at from task where started_at >= :since and ended_at is not null"
        " order by ended_at limit 1 offset :few - 1) from task where started_at >= :since",
        {"since": since, "few": FEW},
    )
    if last is None:
        raise Failed(f"not even {FEW:,} tasks have ended")
    return float(FEW / (last - first) * 1e6)


DEEP = Figure("deep", (Line("deep", "", must=0.9, aim=1.0),), deep, once=True)
