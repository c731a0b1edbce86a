"""When a runner has done enough: after so many tasks, or when it has grown by so much."""

from __future__ import annotations

import os

from duly.runner.linux import own_memory

LOOK_EACH = 256
"""Tasks after which memory is looked at, however short they are."""

LONG = 1_000_000
"""Nanoseconds after which a task is worth a look at memory, which takes a hundredth of that."""


class Wear:
    """What one runner has done; its memory is compared with that at the first look, after its first tasks."""

    def __init__(self, tasks: int, growth: int) -> None:
        self._most = tasks
        self._growth = growth
        self._count = 0
        self._level: int | None = None

    def worn(self, nanoseconds: int) -> bool:
        """Count one more task that took so long; whether the runner is to be replaced."""
        self._count += 1
        if self._count >= self._most:
            return True
        if nanoseconds < LONG and self._count % LOOK_EACH:
            return False
        size = own_memory(os.getpid())
        if self._level is None:
            self._level = size
        return size - self._level > self._growth
