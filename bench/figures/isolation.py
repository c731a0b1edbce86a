"""Draining tasks that have a process of their own each, and tasks that share one."""

from __future__ import annotations

from bench.figures.drain import drain
from bench.measure import Effort, Figure, Line, Sample
from bench.raw import sleeps
from bench.trial import Trial

RUNNERS = 2
FRESH_A_SECOND = 1_000
"""How many tasks are drained for each second of a repeat."""

SHARE = 0.3
"""How many as a share of what `drain` drains: 30,000."""


def fresh(trial: Trial, effort: Effort) -> Sample:
    """As `drain`, of no-op tasks with isolation `fresh`: 3,000."""
    return {"fresh": drain(trial, effort, "worker_fresh", "bench:fresh", round(FRESH_A_SECOND * effort.seconds))}


def forks(trial: Trial, effort: Effort) -> Sample:
    """A process with the same modules forks, the child calls the same function and ends, the process waits for it.

    Two at a time, as many as the node has runners; without any store.
    """
    done = trial.run("template", RUNNERS, effort.seconds)
    return {"fresh": done["count"] / done["seconds"]}


def shared(trial: Trial, effort: Effort) -> Sample:
    """As `drain`, of 30,000 tasks with isolation `shared`, whose async handlers sleep 10 ms."""
    return {"shared": drain(trial, effort, "worker_shared", "bench:doze", round(SHARE * effort.tasks))}


def bare_loop(_trial: Trial, effort: Effort) -> Sample:
    """One event loop in which 1,000 coroutines sleep 10 ms again and again; without any store."""
    return {"shared": sleeps.count(effort.seconds) / effort.seconds}


FRESH = Figure("fresh", (Line("fresh", "/s", must=0.6, aim=0.85, of_raw=True),), fresh, forks)
SHARED = Figure("shared", (Line("shared", "/s", must=15_000, aim=30_000),), shared, bare_loop)
