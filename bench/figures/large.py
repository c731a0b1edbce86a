"""Payloads and results of 1 MB."""

from __future__ import annotations

import time

from bench.measure import Effort, Figure, Line, Sample
from bench.raw.store import connect
from bench.trial import Trial

BYTES = 1_000_000
THREADS = 4


def large(trial: Trial, effort: Effort) -> Sample:
    """Tasks that give back the text of 1 MB that they were given, from `submit` to `result()`, by a node elsewhere.

    Four threads of one process submit one and wait for its result, again and again; the node has two warm runners.
    Each task counts as 2 MB: what went in and what came out, once each, though both are written to the store and read.
    """
    with trial.pipe() as pipe, trial.worker():
        trial.warm(pipe)
        done = trial.run("submit_large", effort.seconds, BYTES, THREADS)
    return {"large": 2 * BYTES * done["count"] / done["seconds"] / 1e6}


def raw(trial: Trial, effort: Effort) -> Sample:
    """1 MB written by apsw in a commit and read again, twice a task: one thread, with duly's settings."""
    connection = connect(trial.store)
    connection.execute("create table large (key integer primary key, text blob)")
    text = b"x" * BYTES
    count, since = 0, time.perf_counter()
    while (passed := time.perf_counter() - since) < effort.seconds:
        for _ in ("payload", "result"):
            connection.execute("insert into large (text) values (?)", (text,))
            connection.execute("select text from large where key = ?", (connection.last_insert_rowid(),)).fetchall()
        count += 1
    connection.close()
    return {"large": 2 * BYTES * count / passed / 1e6}


LARGE = Figure("large", (Line("large", "MB/s", must=150, aim=500),), large, raw)
