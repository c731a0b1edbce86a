"""The store's clock as a node knows it: the machine's own, which only goes forward, and what it differs by."""

from __future__ import annotations

import time


class Clock:
    """Microseconds since 1970 by the store, set by each of its answers; moments of the monotonic clock in seconds."""

    def __init__(self) -> None:
        self._offset = time.time_ns() // 1000 - time.monotonic_ns() // 1000

    def now(self) -> int:
        """Return the store's time."""
        return time.monotonic_ns() // 1000 + self._offset

    def at(self, moment: float) -> int:
        """Return the store's time at a moment."""
        return self._offset + round(moment * 1e6)

    def set(self, store: int, at: int) -> None:
        """The store's time was this at so many microseconds of the monotonic clock."""
        self._offset = store - at
