"""Committing beside a process that submits and has a busy thread."""

from __future__ import annotations

import fcntl
import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.measure import Effort, Figure, Line, Sample, quantile
from bench.raw.store import BLOB, Rows, connect, insert_many
from bench.strays import forked
from bench.trial import Trial

TIMES = 2
"""As many times the usual seconds: one in a hundred is to be more than a few."""

PAUSE = 0.005
"""The most seconds between two commits, so that they come at any moment of what the other one does."""

SINGLES, BATCH = 10, 100
"""What the other one submits in turn: so many one by one, then so many at once."""


def neighbour(trial: Trial, effort: Effort) -> Sample:
    """What calls of `submit` take in one process while another one submits all the time and is short of the GIL.

    The other one has a thread that spins in Python; in turn it submits ten tasks one by one and 100 by `submit_many`.
    The calls that are timed come 0 to 5 ms after each other, with payloads of 100 bytes.
    """
    with trial.pipe() as pipe, trial.process("bench.inside.disturber", pipe.path, SINGLES, BATCH, len(BLOB)):
        pipe.read()
        times = trial.run("submit_times", TIMES * effort.seconds, PAUSE, len(BLOB))
    return {"neighbour-p99": quantile(times, 0.99) / 1e6}


def raw(trial: Trial, effort: Effort) -> Sample:
    """The same rows by apsw alone, from two processes that queue at a file lock; neither has a busy thread."""
    rows = Rows(trial)
    times, until = [], time.monotonic() + TIMES * effort.seconds
    with forked(lambda: _write(rows.others(), trial)):
        connection = connect(trial.store)
        while (at := time.monotonic()) < until:
            with _gate(trial):
                connection.execute(rows.insert, next(rows))
            times.append(time.monotonic() - at)
            time.sleep(random.uniform(0, PAUSE))
        connection.close()
    return {"neighbour-p99": quantile(times, 0.99) * 1e3}


def _write(rows: Rows, trial: Trial) -> None:
    connection = connect(trial.store)
    for _ in itertools.count():
        for _ in range(SINGLES):
            with _gate(trial):
                connection.execute(rows.insert, next(rows))
        with _gate(trial):
            insert_many(connection, rows, BATCH)


@contextmanager
def _gate(trial: Trial) -> Iterator[None]:
    """Who comes first is let in first; SQLite itself has those who wait look again now and then."""
    with (trial.folder / "gate").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        yield


NEIGHBOUR = Figure("neighbour", (Line("neighbour-p99", "ms", must=40, aim=15, less=True),), neighbour, raw)
