"""Whether what a process takes stays as it is. It is looked at again and again; the trend counts, not the highest."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import combinations
from statistics import median

from duly.runner.linux import own_memory

MIB = 2**20
DESCRIPTORS = 8
"""Descriptors that a worker has for one runner, at most."""

CACHE = 64
"""MiB that SQLite's page cache may take in each process: until it is full, a store that grows fills it."""


class Gauge:
    """One figure over time; in its second half it may grow by `slack`, and what is left of a `cache`."""

    def __init__(self, name: str, read: Callable[[], float], slack: float, cache: float = 0) -> None:
        self.name = name
        self._read = read
        self._slack = slack
        self._cache = cache
        self._samples: list[tuple[float, float]] = []

    def look(self) -> None:
        self._samples.append((time.monotonic(), self._read()))

    @property
    def growth(self) -> float:
        """By how much it grew in the second half: the median of all slopes between two samples (Theil and Sen)."""
        half = self._samples[len(self._samples) // 2 :]
        step = max(1, len(half) // 200)  # so many pairs are enough
        slopes = [(b - a) / (then - now) for (now, a), (then, b) in combinations(half[::step], 2)]
        return median(slopes) * (half[-1][0] - half[0][0])

    @property
    def flat(self) -> bool:
        begin, middle = self._samples[0][1], self._samples[len(self._samples) // 2][1]
        return self.growth <= max(0.0, begin + self._cache - middle) + self._slack

    def __str__(self) -> str:
        return f"{self.name} {self._samples[len(self._samples) // 2][1]:,.1f} {self.growth:+,.2f}"


def of_process(name: str, pid: int, passing: int = 0) -> list[Gauge]:
    """What a process takes: memory of its own in MiB, descriptors, threads.

    `passing`: that many runners on their way, and threads that rescue a node or have begun with the first need, are no
    growth. A supervisor has a thread for each rescue, and one for its checkpoints and its gate from the first time on.
    """
    return [
        Gauge(f"{name}: MiB", lambda: own_memory(pid) / MIB, 8, CACHE),
        Gauge(f"{name}: descriptors", lambda: len(os.listdir(f"/proc/{pid}/fd")), 2 + DESCRIPTORS * passing),
        Gauge(f"{name}: threads", lambda: len(os.listdir(f"/proc/{pid}/task")), 1 + passing),
    ]


def of_file(name: str, path: str) -> Gauge:
    """The size of a file in MiB."""
    return Gauge(f"{name}: MiB", lambda: os.path.getsize(path) / MIB if os.path.exists(path) else 0.0, 8)
