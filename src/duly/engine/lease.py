"""The lease under which a node works, where its store cannot see whether its process lives."""

from __future__ import annotations

import time
from math import inf

from duly.core import lease


def awake_or_not() -> float:
    """Return seconds of this machine's clock that goes on while it sleeps, and that nobody sets."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """Renewed by each exchange that is answered, from when it was first sent: it may have come then and never again.

    Without `seconds` it never ends.
    """

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._sent_at = self._renewed_at = 0.0

    def begin(self, seconds: float | None) -> None:
        """Have it from now on, which is before the node is enlisted."""
        self.seconds = seconds
        self.sent()
        self.renewed()

    def sent(self) -> None:
        """An exchange is sent, for the first time."""
        self._sent_at = awake_or_not()

    def renewed(self) -> None:
        """It was answered."""
        self._renewed_at = self._sent_at

    def left(self) -> float:
        """For how many seconds more the node may go on."""
        return inf if self.seconds is None else lease.left(self.seconds, self._renewed_at, awake_or_not())

    def beat(self, poll: float) -> float:
        """How often the node is to look by itself, which is set to do so every `poll` seconds."""
        return poll if self.seconds is None else lease.beat(self.seconds, poll)
