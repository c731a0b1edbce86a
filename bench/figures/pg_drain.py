"""Draining many tasks that do nothing, from a store on PostgreSQL."""

from __future__ import annotations

import time
from contextlib import ExitStack

from bench.measure import Effort, Figure, Line, Sample
from bench.raw import postgres
from bench.raw.store import BLOB
from bench.server import ServerTrial, on_server
from bench.trial import PATIENCE, Failed, Trial

NODES = 4
SETTLE_SECONDS = 2.0

RECORD = """
select count(*) filter (where state = 4), max(claim), min(started_at)::float / 1e6,
    extract(epoch from max(pg_xact_commit_timestamp(xmin)))::float from ended
"""


def drain(trial: Trial, effort: Effort) -> Sample:
    """Tasks per second from the first one's start, just after the first claim's commit, to the last outcome's commit.

    100,000 no-op tasks with payloads of 100 bytes are stored before; then one node works them off, a process of its
    own with two runners, isolation `process`. Starting it and its runners does not count. The server is on the same
    machine, with its settings as they come, and says itself when it committed.
    """
    with on_server(trial) as there:
        there.submit("bench:noop", effort.tasks, {"blob": BLOB})
        with there.worker():
            there.until_ended(effort.tasks)
        return _sample(_rate(there, effort.tasks))


def raw(trial: Trial, effort: Effort) -> Sample:
    """The same tasks claimed and finished by psycopg alone, with their history: one round trip and commit for 100."""
    with on_server(trial) as there:
        there.submit("bench:noop", effort.tasks, {"blob": BLOB})
        return _sample(effort.tasks / postgres.drain(there))


def _sample(rate: float) -> Sample:
    return {"pg-drain": rate, "pg-drain-of-raw": rate}


def _rate(trial: ServerTrial, tasks: int) -> float:
    done, claims, first, last = trial.read(RECORD)
    if done != tasks:
        raise Failed(f"{done:,} of {tasks:,} tasks have succeeded")
    if claims != 1:
        raise Failed(f"a task was claimed {claims} times")
    return float(tasks / (last - first))


def nodes(trial: Trial, effort: Effort) -> Sample:
    """How many times the rate of one node four have together on the same machine, and no task is claimed twice.

    Tasks and nodes as for `pg-drain`; what their action has waiting is paused until all nodes have begun.
    """
    with on_server(trial) as there:
        one, many = (_together(there.beside(str(count)), effort, count) for count in (1, NODES))
    return {"pg-nodes": many / one, "one": one, "four": many}


def _together(trial: ServerTrial, effort: Effort, count: int) -> float:
    trial.submit("bench:noop", effort.tasks, {"blob": BLOB})
    trial.time("-m", "duly", "pause", "bench:noop")
    with ExitStack() as workers:
        for _ in range(count):
            workers.enter_context(trial.worker())
        trial.until(f"select count(*) >= {count} from node", PATIENCE)
        time.sleep(SETTLE_SECONDS)
        trial.time("-m", "duly", "resume", "bench:noop")
        trial.until_ended(effort.tasks)
    return _rate(trial, effort.tasks)


PG_DRAIN = Figure(
    "pg-drain",
    (
        Line("pg-drain", "/s", must=7_000, aim=20_000),
        Line("pg-drain-of-raw", "/s", must=0.4, aim=0.7, of_raw=True),
    ),
    drain,
    raw,
)
PG_NODES = Figure("pg-nodes", (Line("pg-nodes", "", must=0.9, aim=1.5),), nodes)
