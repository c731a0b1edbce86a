"""Watching tasks that tell how far they are."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil

from bench.measure import Effort, Figure, Line, Sample, quantile
from bench.trial import PATIENCE, Failed, Pipe, Trial
from bench.usage import cpu

TASKS = 100
UPDATES = 50
"""Updates a second of each task."""

WATCHERS = 10
SETTLE_SECONDS = 1.5
"""Time for all watchers to begin, and to read what was told before."""

TIMES = 2
"""As many times the usual seconds: one in a hundred is to be more than a single one."""

ENOUGH = 0.9
"""The share of these updates that must have been told, for the figure to say what it means."""

LEAST_SEEN = 2
"""Updates a second that each watcher must have seen: of those that are told, ten a second are passed on."""


def watch(trial: Trial, effort: Effort) -> Sample:
    """100 tasks (isolation `shared`) call `update` 50 times a second each; ten processes watch one of them each.

    `watch-p99`: from just before the call of `update` until `events()` has yielded it, of all that are passed on (duly
    leaves out what comes sooner than 0.1 s after the last): the 99th percentile of the watcher that waited longest.
    `watch-cpu`: CPU time over wall time of the node's process and the one that forks runners, not of the runner: the
    same without updates and watchers is taken off.
    """
    with trial.pipe() as pipe, trial.worker("worker_shared") as worker:
        quiet, _ = _run(trial, effort, pipe, worker.pid, updates=0, watchers=0)
        busy, lags = _run(trial, effort, pipe, worker.pid, UPDATES, WATCHERS)
    return {"watch-p99": max(quantile(one, 0.99) for one in lags) / 1e6, "watch-cpu": 100 * (busy - quiet)}


def _run(
    trial: Trial, effort: Effort, pipe: Pipe, node: int, updates: int, watchers: int
) -> tuple[float, list[list[int]]]:
    """Have 100 tasks run for a while; return the share of a CPU that the node took, and what each watcher waited."""
    seconds = SETTLE_SECONDS + TIMES * effort.seconds
    trial.submit("bench:report", TASKS, {"pipe": pipe.path, "seconds": seconds, "updates": updates})
    for _ in range(TASKS):
        pipe.read()
    with ThreadPoolExecutor(WATCHERS) as pool:
        places = range(0, TASKS, TASKS // watchers) if watchers else ()
        watching = [
            pool.submit(trial.run, "watcher", "bench:report", place, SETTLE_SECONDS, seconds=seconds)
            for place in places
        ]
        time.sleep(SETTLE_SECONDS)
        share = _share(node, TIMES * effort.seconds / 2)
        told = sum(pipe.read(seconds + PATIENCE).other for _ in range(TASKS))
        lags = [watcher.result() for watcher in watching]
    if told < ENOUGH * TASKS * updates * seconds:
        raise Failed(f"the handlers have told {told / seconds:,.0f} updates a second, not {TASKS * updates:,}")
    if lags and min(map(len, lags)) < LEAST_SEEN * TIMES * effort.seconds:
        raise Failed(f"a watcher has seen {min(map(len, lags))} updates in {seconds:g} s")
    return share, lags


def _share(node: int, seconds: float) -> float:
    """The share of a CPU that the node's process takes in this time, with that which forks runners."""
    processes = [node, *(child.pid for child in psutil.Process(node).children())]
    before, since = sum(map(cpu, processes)), time.monotonic()
    time.sleep(seconds)
    return (sum(map(cpu, processes)) - before) / (time.monotonic() - since)


WATCH = Figure(
    "watch",
    (Line("watch-p99", "ms", must=100, aim=30, less=True), Line("watch-cpu", "%", must=15, aim=5, less=True)),
    watch,
)
