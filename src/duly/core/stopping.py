"""The ladder by which running code is stopped: ask, terminate, kill.

From the moment it is asked, code has half its grace time to end by itself and is then terminated (SIGTERM); when the
grace time is over it is killed (SIGKILL), with everything it started.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Reason = Literal["cancel", "timeout", "drain", "memory"]
Rung = Literal["ask", "terminate", "kill"]

RUNGS: tuple[Rung, ...] = ("ask", "terminate", "kill")


class Ladder(msgspec.Struct, frozen=True):
    """One stopping under way: since when (seconds, monotonic), and how long the grace is."""

    since: float
    grace: float

    def at(self, rung: Rung) -> float:
        """Return the moment of a rung.

        >>> [Ladder(since=10, grace=4).at(rung) for rung in RUNGS]
        [10.0, 12.0, 14.0]
        """
        return self.since + self.grace * RUNGS.index(rung) / 2

    def due(self, now: float) -> Rung:
        """Return the highest rung that is to be stood on now."""
        if now >= self.at("kill"):
            return "kill"
        return "terminate" if now >= self.at("terminate") else "ask"


def stronger(old: Ladder | None, new: Ladder) -> Ladder:
    """Return the ladder that kills sooner: a second reason to stop never gives more time."""
    return new if old is None or new.at("kill") < old.at("kill") else old


SAMPLE_SECONDS = 0.05
"""How often the memory of an attempt with a limit is measured."""

ASK_SECONDS = 0.1
"""How often an attempt is asked that was asked already: a signal that comes just before a thread waits wakes nobody."""

_NEVER = float("inf")


class Stopping:
    """What one attempt is to be stopped for, if anything: its limits, who asked, and which rung it stands on.

    It decides and remembers; whoever holds the process measures, signals and asks again when `look` says. All moments
    are seconds of one monotonic clock, which is an argument.
    """

    __slots__ = ("_asked_at", "_began_at", "_grace", "_ladder", "_memory", "_rung", "_timeout", "peak", "reason")

    def __init__(self, timeout: float | None, grace: float, memory: int | None) -> None:
        self._timeout = timeout
        self._grace = grace
        self._memory = memory
        self._began_at: float | None = None
        self._ladder: Ladder | None = None
        self._rung: Rung | None = None
        self._asked_at = 0.0
        self.reason: Reason | None = None
        self.peak = 0

    @property
    def measures(self) -> int | None:
        """The limit that its memory is to be measured against, if it has begun and has one."""
        return self._memory if self._began_at is not None else None

    @property
    def since(self) -> float:
        """Since when it is to stop; for ever not, if it is not."""
        return _NEVER if self._ladder is None else self._ladder.since

    def began(self, at: float) -> None:
        """The user's code began at this moment: its time counts from here."""
        self._began_at = at

    def ask(self, reason: Reason, now: float, grace: float | None = None) -> None:
        """Somebody wants it stopped; the first reason stays, and a second never gives more time."""
        wanted = Ladder(since=now, grace=self._grace if grace is None else grace)
        self._ladder = stronger(self._ladder, wanted)
        self.reason = self.reason or reason

    def measured(self, size: int) -> None:
        """Its memory was measured, in bytes; too much leaves no time."""
        self.peak = max(self.peak, size)
        if self._memory is not None and size > self._memory and self.reason != "memory":
            self.reason = "memory"
            self._ladder = Ladder(since=0.0, grace=0.0)

    def look(self, now: float) -> tuple[Rung | None, float]:
        """Return the rung to climb now, if there is one, and the moment to look again; to ask is said repeatedly."""
        again = _NEVER if self.measures is None else now + SAMPLE_SECONDS
        if self._ladder is None and self._timeout is not None and self._began_at is not None:
            limit_at = self._began_at + self._timeout
            if now >= limit_at:
                self.ask("timeout", limit_at)
            else:
                again = min(again, limit_at)
        if self._ladder is None:
            return None, again
        due = max(self._ladder.due(now), self._rung or "ask", key=RUNGS.index)  # nobody climbs down
        later = [at for at in (self._ladder.at("terminate"), self._ladder.at("kill")) if at > now]
        changed, self._rung = due != self._rung, due
        if due == "ask":
            if changed or now >= self._asked_at + ASK_SECONDS:
                changed, self._asked_at = True, now
            later.append(self._asked_at + ASK_SECONDS)
        return (due if changed else None), min([again, *later])
