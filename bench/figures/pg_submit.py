"""Submitting to a store on PostgreSQL: one by one, from threads, and in bulk."""

from __future__ import annotations

from bench.figures import submit
from bench.measure import Effort, Figure, Line, Measure, Sample
from bench.raw import postgres
from bench.server import on_server
from bench.trial import Trial


def there(measure: Measure) -> Measure:
    """The same on a server of its own, on this machine, with its settings as they come."""

    def measured(trial: Trial, effort: Effort) -> Sample:
        with on_server(trial) as there:
            return {f"pg-{name}": value for name, value in measure(there, effort).items()}

    return measured


def one_row_commits(name: str) -> Measure:
    """The same rows inserted by psycopg in one thread, a commit for each; same tables, indexes and settings."""

    def raw(trial: Trial, effort: Effort) -> Sample:
        with on_server(trial) as there:
            return {name: postgres.insert_one_by_one(there, effort.seconds)}

    return raw


def bulk(trial: Trial, effort: Effort) -> Sample:
    """As many of the same rows copied by psycopg, 10,000 in a commit."""
    with on_server(trial) as there:
        return {"pg-submit-many": postgres.copy_many(there, effort.tasks)}


def _of_raw(name: str, duly: Measure, must: float, aim: float) -> Figure:
    return Figure(name, (Line(name, "/s", must, aim, of_raw=True),), there(duly), one_row_commits(name))


PG_SUBMIT = _of_raw("pg-submit", submit.submit, must=0.7, aim=0.9)
PG_SUBMIT_THREADS = _of_raw("pg-submit-16", submit.threads, must=3, aim=6)
PG_SUBMIT_MANY = Figure(
    "pg-submit-many", (Line("pg-submit-many", "/s", must=40_000, aim=100_000),), there(submit.many), bulk
)
