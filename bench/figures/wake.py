"""Waking an idle node."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Effort, Figure, Line, Sample, quantile
from bench.raw import wakes
from bench.trial import Trial

LEAST, MOST = 0.020, 0.050
"""Seconds between two submits: enough for the node to be idle again."""

TIMES = 3
"""As many times the usual seconds: one in a hundred is to be more than a single one."""


def wake(trial: Trial, effort: Effort) -> Sample:
    """From just before the call of `submit` in one process to the handler's first line, run by a node in another.

    By CLOCK_MONOTONIC. The node has two warm runners and nothing else to do; submits are 20 to 50 ms apart, and
    nobody waits for results meanwhile.
    """
    with trial.pipe() as pipe, trial.worker():
        trial.warm(pipe)
        return sample_of(trial.run("submit_wake", TIMES * effort.seconds, LEAST, MOST))


def raw(trial: Trial, effort: Effort) -> Sample:
    """A commit, a datagram to a process that waits, its commit, and a message to a child that it has forked before."""
    return sample_of(wakes.taken(trial, TIMES * effort.seconds, LEAST, MOST))


def sample_of(nanoseconds: Sequence[int]) -> Sample:
    """The two lines."""
    return {"wake-p50": quantile(nanoseconds, 0.50) / 1e6, "wake-p99": quantile(nanoseconds, 0.99) / 1e6}


WAKE = Figure(
    "wake",
    (
        Line("wake-p50", "ms", must=1.5, aim=0.7, less=True),
        Line("wake-p99", "ms", must=6.0, aim=6.0, less=True),
    ),
    wake,
    raw,
)
