"""Submitting a task and waiting for its result."""

from __future__ import annotations

from bench.measure import Effort, Figure, Line, Sample, quantile
from bench.raw import trips
from bench.raw.store import BLOB
from bench.trial import Trial


def result(trial: Trial, effort: Effort) -> Sample:
    """From the call of `submit` to the return of `result()` in one process, run by a node in another.

    No-op tasks with payloads of 100 bytes, one after another without a pause; the node has two warm runners and
    nothing else to do.
    """
    with trial.pipe() as pipe, trial.worker():
        trial.warm(pipe)
        return {"result-p50": quantile(trial.run("submit_result", effort.seconds, len(BLOB)), 0.50) / 1e6}


def raw(trial: Trial, effort: Effort) -> Sample:
    """A commit, a datagram to a process that waits, its commit, a message to its child and back, and all that back."""
    return {"result-p50": quantile(trips.taken(trial, effort.seconds), 0.50) / 1e6}


RESULT = Figure("result", (Line("result-p50", "ms", must=3.0, aim=1.2, less=True),), result, raw)
