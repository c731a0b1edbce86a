"""When a runner has done enough: after so many tasks, or when it has grown by so much, or has few descriptors left."""

from __future__ import annotations

import os
import resource

from duly.runner.linux import own_memory

LOOK_EACH = 256
"""Tasks after which memory is looked at, however short they are."""

LONG = 1_000_000
"""Nanoseconds after which a task is worth a look at memory, which takes a hundredth of that."""


COUNT_EACH = 16
"""Tasks after which descriptors are looked at, however short they are: nobody opens many in so few."""

BRIEFLY = 50_000
"""Nanoseconds in which nobody can start a process, or open more than some descriptors."""


class Wear:
    """What one runner has done; its memory is compared with that at the first look, after its first tasks.

    Of descriptors the tasks may leave open half of what there were in the beginning; the next one needs some, too.
    """

    def __init__(self, tasks: int, growth: int) -> None:
        self._most = tasks
        self._growth = growth
        self._count = 0
        self._level: int | None = None
        self._descriptors = (_next_descriptor() + resource.getrlimit(resource.RLIMIT_NOFILE)[0]) // 2

    def worn(self, nanoseconds: int) -> bool:
        """Count one more task that took so long; whether the runner is to be replaced."""
        self._count += 1
        if self._count >= self._most:
            return True
        if (nanoseconds >= BRIEFLY or self._count % COUNT_EACH == 0) and self._few_descriptors():
            return True
        if nanoseconds < LONG and self._count % LOOK_EACH:
            return False
        size = own_memory(os.getpid())
        if self._level is None:
            self._level = size
        return size - self._level > self._growth

    def _few_descriptors(self) -> bool:
        try:
            return _next_descriptor() > self._descriptors
        except OSError:
            return True


def _next_descriptor() -> int:
    """The number that the next file opened would get: the lowest one that is free."""
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    os.close(fd)
    return fd
