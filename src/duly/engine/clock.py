"""The store's clock, as a node reads it between two exchanges."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Microseconds since 1970 by the store's clock. It may be set at any time; seconds of the monotonic clock go on."""

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
        return self._read() - round((time.monotonic() - moment) * 1e6)
