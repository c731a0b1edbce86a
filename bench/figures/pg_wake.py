"""Waking an idle node of a store on PostgreSQL."""

from __future__ import annotations

from bench.figures.pg_submit import there
from bench.figures.wake import LEAST, MOST, TIMES, sample_of, wake
from bench.measure import Effort, Figure, Line, Sample
from bench.raw import pg_wakes
from bench.server import on_server
from bench.trial import Trial


def raw(trial: Trial, effort: Effort) -> Sample:
    """A commit, a NOTIFY, one claim by the process that listens, and a message to a child that it has forked before."""
    with on_server(trial) as server:
        taken = pg_wakes.taken(server, TIMES * effort.seconds, LEAST, MOST)
    return {f"pg-{name}": value for name, value in sample_of(taken).items()}


PG_WAKE = Figure(
    "pg-wake",
    (
        Line("pg-wake-p50", "ms", must=3.0, aim=1.5, less=True),
        Line("pg-wake-p99", "ms", must=15.0, aim=15.0, less=True),
    ),
    there(wake),
    raw,
)
