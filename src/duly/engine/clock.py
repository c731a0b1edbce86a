"""The store's clock, as a node reads it between two exchanges."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Microseconds since 1970 by the store's clock. It may be set at any time; seconds of the monotonic clock go on.

    It is the last that is read, of two clocks: whoever is held up between them tells a moment for later than it is,
    and never for earlier, which would have something begin before its time.
    """

    def __init__(self) -> None:
        self._read: Callable[[], int] = lambda: time.time_ns() // 1000

    def follow(self, read: Callable[[], int]) -> None:
        """Read this clock from now on."""
        self._read = read

    def now(self) -> int:
        """Return the store's time."""
        return self._read()

    def at(self, moment: float) -> int:
        """Return the store's time at a moment of the monotonic clock that is not long past."""
        ago = time.monotonic() - moment
        return self._read() - round(ago * 1e6)

    def of_wall(self, date: int) -> int:
        """Return the store's time at a date by this machine's clock, both in microseconds since 1970."""
        away = date - time.time_ns() // 1000
        return self._read() + away
