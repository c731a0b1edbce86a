"""Draining a store on PostgreSQL: with many more tasks waiting, and while an old snapshot is held."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from bench.measure import Effort, Figure, Line, Sample
from bench.raw.store import BLOB
from bench.server import ServerTrial, on_server
from bench.trial import Failed, Trial

FEW = 10_000
ROUNDS = 3
TIMES = 2
"""As many times the seconds of idling a snapshot is held: 2 minutes."""

FREE_SHARE = 0.25
"""For how much of that time it is measured without one before."""

MOST_A_SECOND = 32_000
"""A faster node would run out of tasks."""

NTH_END = """
select min(started_at), (
    select ended_at from ended where started_at >= %(since)s order by ended_at limit 1 offset %(few)s - 1
) from ended where started_at >= %(since)s
"""
ENDED = "select count(*) from ended where ended_at between %(since)s and %(until)s"


def deep(trial: Trial, effort: Effort) -> Sample:
    """How many times the rate of 10,000 tasks with 10,000 waiting it is with 1,000,000 waiting (200,000 if quick).

    No-op tasks as for `pg-drain`, of both in turn, each in a database of its own and each time by a new worker: from
    the first start until 10,000 have ended, by the store's record. The median of three rounds.
    """
    with on_server(trial) as there:
        few, many = there.beside("few"), there.beside("many")
        many.submit("bench:noop", effort.waiting, {"blob": BLOB})
        rates = []
        for number in range(ROUNDS):
            few.submit("bench:noop", FEW, {"blob": BLOB})
            with_few = _run(few, (number + 1) * FEW)
            (ended,) = many.read("select count(*) from ended")
            rates.append((_run(many, ended + FEW), with_few))
    ratio = median(with_many / with_few for with_many, with_few in rates)
    return {"pg-deep": ratio, "rate with many": median(m for m, _ in rates), "with few": median(f for _, f in rates)}


def _run(trial: ServerTrial, ended: int) -> float:
    """Have a worker until so many have ended in all; return the tasks that it ended per second."""
    since = time.time_ns() // 1000
    with trial.worker():
        trial.until_ended(ended)
    first, last = trial.read(NTH_END, {"since": since, "few": FEW})
    if last is None:
        raise Failed(f"not even {FEW:,} tasks have ended")
    return float(FEW / (last - first) * 1e6)


def snapshot(trial: Trial, effort: Effort) -> Sample:
    """How many times the rate before it is while another session holds a snapshot, for 2 minutes (10 s if quick).

    That session has read another table, in a transaction that it leaves open, so that no row that dies meanwhile can be
    removed. No-op tasks as for `pg-drain`; the rate over all the time is compared with that of half a minute before.
    """
    seconds = TIMES * effort.idle_seconds
    free_seconds = FREE_SHARE * seconds
    with on_server(trial) as there:
        there.submit("bench:noop", round(MOST_A_SECOND * (seconds + free_seconds)), {"blob": BLOB})
        with there.worker():
            there.until_ended(FEW)
            free = _during(there, free_seconds)
            with _snapshot(there):
                held = _during(there, seconds)
        if not there.read("select exists (select from task where state = 2)")[0]:
            raise Failed("there were not tasks enough")
    return {"pg-snapshot": held / free, "rate before": free, "rate while": held}


def _during(trial: ServerTrial, seconds: float) -> float:
    """Tasks a second that end in this time."""
    since = time.time_ns() // 1000
    time.sleep(seconds)
    trial.look()
    until = time.time_ns() // 1000
    time.sleep(1.0)  # what has ended is stored a little later
    (ended,) = trial.read(ENDED, {"since": since, "until": until})
    return float(ended / (until - since) * 1e6)


@contextmanager
def _snapshot(trial: ServerTrial) -> Iterator[Any]:
    with trial.connect() as connection:
        connection.execute("create table other as select 1 as number")
        connection.execute("begin isolation level repeatable read")
        yield connection.execute("select * from other").fetchall()


PG_DEEP = Figure("pg-deep", (Line("pg-deep", "", must=0.85, aim=1.0),), deep, once=True)
PG_SNAPSHOT = Figure("pg-snapshot", (Line("pg-snapshot", "", must=0.5, aim=0.95),), snapshot, once=True)
