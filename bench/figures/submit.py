"""Submitting: one by one, by many at once, and in bulk."""

from __future__ import annotations

import time

from bench.measure import Effort, Figure, Line, Measure, Sample
from bench.raw.store import BLOB, Rows, connect, insert_many
from bench.trial import Trial

THREADS = 16
IN_FLIGHT = 256


def submit(trial: Trial, effort: Effort) -> Sample:
    """Calls of an action's `submit` in one thread, each after the last has returned, with payloads of 100 bytes.

    Counted over the seconds that they take, in a store without a worker; `submit` returns when the task is on disk.
    """
    return {"submit": _rate(trial, "submit_one", effort)}


def threads(trial: Trial, effort: Effort) -> Sample:
    """The same from 16 threads of one process."""
    return {"submit-16": _rate(trial, "submit_threads", effort, THREADS)}


def loop(trial: Trial, effort: Effort) -> Sample:
    """The same by `asubmit` from one event loop, 256 of them awaited at any time."""
    return {"submit-256": _rate(trial, "submit_loop", effort, IN_FLIGHT)}


def many(trial: Trial, effort: Effort) -> Sample:
    """One call of `submit_many`, whose passports a generator makes: 100,000 no-ops with payloads of 100 bytes.

    Making the passports counts, and the handles that come back; opening the store does not.
    """
    seconds = trial.run("submit_bulk", effort.tasks, len(BLOB))
    return {"submit-many": effort.tasks / seconds}


def _rate(trial: Trial, module: str, effort: Effort, *arguments: int) -> float:
    done = trial.run(module, effort.seconds, len(BLOB), *arguments)
    return float(done["count"] / done["seconds"])


def one_row_commits(name: str) -> Measure:
    """The same rows inserted by apsw in one thread, a commit for each; same tables, indexes, settings and folder."""

    def raw(trial: Trial, effort: Effort) -> Sample:
        rows = Rows(trial)
        connection = connect(trial.store)
        insert, count, since = rows.insert, 0, time.perf_counter()
        while (passed := time.perf_counter() - since) < effort.seconds:
            connection.execute(insert, next(rows))
            count += 1
        connection.close()
        return {name: count / passed}

    return raw


def bulk(trial: Trial, effort: Effort) -> Sample:
    """As many of the same rows inserted by apsw, 10,000 in a commit."""
    rows = Rows(trial)
    connection = connect(trial.store)
    since = time.perf_counter()
    insert_many(connection, rows, effort.tasks)
    passed = time.perf_counter() - since
    connection.close()
    return {"submit-many": effort.tasks / passed}


def _of_raw(name: str, duly: Measure, must: float, aim: float) -> Figure:
    return Figure(name, (Line(name, "/s", must, aim, of_raw=True),), duly, one_row_commits(name))


SUBMIT = _of_raw("submit", submit, must=0.6, aim=0.9)
SUBMIT_THREADS = _of_raw("submit-16", threads, must=2, aim=4)
SUBMIT_LOOP = _of_raw("submit-256", loop, must=3, aim=6)
SUBMIT_MANY = Figure("submit-many", (Line("submit-many", "/s", must=60_000, aim=200_000),), many, bulk)
