"""Submitting one by one."""

from __future__ import annotations

import time

from bench.measure import Effort, Figure, Line, Sample
from bench.raw.store import BLOB, Rows, connect
from bench.trial import Trial


def submit(trial: Trial, effort: Effort) -> Sample:
    """Calls of an action's `submit` in one thread, each after the last has returned, with payloads of 100 bytes.

    Counted over the seconds that they take, in a store without a worker; `submit` returns when the task is on disk.
    """
    done = trial.run("submit_one", effort.seconds, len(BLOB))
    return {"submit": done["count"] / done["seconds"]}


def raw(trial: Trial, effort: Effort) -> Sample:
    """The same rows inserted by apsw, a commit for each, with the same tables, indexes, settings and folder."""
    rows = Rows(trial)
    connection = connect(trial.store)
    insert, count, since = rows.insert, 0, time.perf_counter()
    while (passed := time.perf_counter() - since) < effort.seconds:
        connection.execute(insert, next(rows))
        count += 1
    connection.close()
    return {"submit": count / passed}


SUBMIT = Figure("submit", (Line("submit", "/s", must=0.6, aim=0.9, of_raw=True),), submit, raw)
