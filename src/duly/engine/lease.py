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
        self._sent_at = self._renewed_at = self._turned_at = self._stood = 0.0
        self._away_at = -inf

    def begin(self, seconds: float | None, *, away: bool) -> None:
        """Have it from now on, which is before the node is enlisted; `away`: until now the store was."""
        self.seconds = seconds
        self._renewed_at = self._turned_at = awake_or_not()
        self._away_at = self._renewed_at if away else -inf

    def sent(self) -> None:
        """An exchange is sent, for the first time."""
        self._sent_at = awake_or_not()

    def renewed(self) -> None:
        """It was answered."""
        self.renewed_by(self._sent_at)

    def renewed_by(self, sent_at: float) -> None:
        """What was sent at this moment was answered, before which no exchange that is under way was carried out."""
        if self.away():
            self._away_at = awake_or_not()
        self._renewed_at, self._sent_at, self._stood = sent_at, sent_at, 0.0

    def turned(self) -> float:
        """The node has come round once more: for how many seconds it may go on."""
        if self.seconds is None:
            return inf
        now = awake_or_not()
        self._stood = max(self._stood, now - self._turned_at)
        self._turned_at = now
        return lease.left(self.seconds, self._renewed_at, now)

    def away(self) -> bool:
        """Whether the store has not answered for long, though this node did not stand still itself."""
        if self.seconds is None:
            return False
        return awake_or_not() - self._renewed_at > self.seconds / 2 and self._stood < self.seconds / 4

    def blames(self) -> bool:
        """Whether other nodes died of what they ran, perhaps: not if they were as unheard just now as this one."""
        return self.seconds is None or awake_or_not() - self._away_at > self.seconds

    def beat(self, poll: float) -> float:
        """How often the node is to look by itself, which is set to do so every `poll` seconds."""
        return poll if self.seconds is None else lease.beat(self.seconds, poll)
