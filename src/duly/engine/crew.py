"""The runners of a node: kept at their number, handed work while it is short, replaced when they end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from duly.core.estimate import HAND_MOST, fits
from duly.engine.attempt import Attempt, work_of
from duly.errors import RunnerUnavailable
from duly.ports import Pool, Runner

log = logging.getLogger("duly.node")

LEAST_BACKOFF = 0.1
MOST_BESIDE = 64
"""Runners beyond the number wanted, in place of those whose handlers wait for other tasks."""

MOST_BACKOFF = 30.0
"""Seconds between tries to start a runner where the machine refuses one."""


class Member:
    """One runner, and what it has been handed and not answered: by key, in order.

    `overrun`: what it runs is not short, others would wait for it. `held_back`: what it runs is being stopped, others
    could be hit instead.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.handed: dict[int, Attempt] = {}
        self.ready = False
        self.retiring = False
        self.fresh = True
        self.overrun = False
        self.held_back = False
        self._seconds = 0.0
        self._unknown = 0

    def __repr__(self) -> str:
        return f"<Member {self.runner} with {len(self.handed)}>"

    @property
    def takes(self) -> bool:
        """Whether it may be handed anything at all."""
        return self.ready and not (self.retiring or self.overrun or self.held_back)

    def fits(self, seconds: float | None, most: int) -> bool:
        """Whether one more of this run time may be handed to it."""
        return fits(len(self.handed), None if self._unknown else self._seconds, seconds, most)

    def add(self, attempt: Attempt) -> None:
        """It has been handed this."""
        self.fresh = False
        self.handed[attempt.held.key] = attempt
        attempt.weight = attempt.time.seconds
        if attempt.weight is None:
            self._unknown += 1
        else:
            self._seconds += attempt.weight

    def remove(self, key: int, claim: int) -> Attempt | None:
        """It has no longer got this, if it had."""
        attempt = self.handed.get(key)
        if attempt is None or attempt.held.claim != claim:
            return None
        del self.handed[key]
        if attempt.weight is None:
            self._unknown -= 1
        else:
            self._seconds -= attempt.weight
        return attempt


class Crew:
    """All runners of a node. `most` bounds what one may have in hand; one that `waits` for others counts for none."""

    def __init__(
        self, pool: Pool, size: int, most: int = HAND_MOST, waits: Callable[[int], bool] = lambda _: False
    ) -> None:
        self._pool = pool
        self._size = size
        self._most = most
        self._waits = waits
        self._members: dict[int, Member] = {}
        self._backoff = 0.0
        self.retry_at: float | None = None

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def member(self, number: int) -> Member | None:
        """The member whose runner has this number."""
        return self._members.get(number)

    def taking(self) -> list[Member]:
        """Those that may be handed work, the least busy first."""
        return sorted((member for member in self._members.values() if member.takes), key=_busy)

    def move(self, pool: Pool) -> None:
        """From now on runners are another pool's; those of the last one have ended."""
        self._pool = pool

    def fill(self, now: float) -> None:
        """Ask for as many runners as are missing, unless the machine refused some a moment ago."""
        if self.retry_at is not None and now < self.retry_at:
            return
        self.retry_at = None
        while self._active() < self._size and len(self._members) < self._size + MOST_BESIDE:
            try:
                self.spawn()
            except RunnerUnavailable as error:
                self.refused(str(error), now)
                return

    def _active(self) -> int:
        members = self._members.values()
        return sum(1 for member in members if not (member.retiring or self._waits(member.runner.number)))

    def surplus(self) -> bool:
        """Whether there are more runners than are wanted, since handlers have ended their waiting."""
        return len(self._members) > self._size and self._active() > self._size

    def spawn(self) -> Member:
        """Ask for one more runner."""
        runner = self._pool.spawn()
        member = self._members[runner.number] = Member(runner)
        return member

    def born(self, runner: Runner) -> None:
        """A runner can be handed work."""
        self._backoff = 0.0
        self._members[runner.number].ready = True

    def refused(self, reason: str, now: float, runner: Runner | None = None) -> None:
        """The machine refused a runner: try again later, and later still."""
        if runner is not None:
            self._members.pop(runner.number, None)
            runner.close()
        self._backoff = longer(self._backoff)
        self.retry_at = now + self._backoff
        log.warning("no runner could be started (%s); trying again in %.1f s", reason, self._backoff)

    def hand(self, member: Member, attempt: Attempt) -> bool:
        """Hand over an attempt if it fits."""
        if not member.fits(attempt.time.seconds, self._most) or not member.runner.hand(work_of(attempt)):
            return False
        member.add(attempt)
        return True

    def take_back(self, member: Member) -> list[Attempt]:
        """Take back what a runner has not begun to read."""
        taken = (member.remove(key, claim) for key, claim in member.runner.take_back())
        return [attempt for attempt in taken if attempt is not None]

    def retire(self, member: Member) -> list[Attempt]:
        """Use a runner no more; return what it was handed in vain."""
        member.retiring = True
        taken = self.take_back(member)
        member.runner.retire()
        return taken

    def ended(self, runner: Runner) -> Member | None:
        """A runner is gone."""
        runner.close()
        return self._members.pop(runner.number, None)


def longer(backoff: float) -> float:
    """Return the seconds to wait after one more refusal in a row."""
    return min(MOST_BACKOFF, max(LEAST_BACKOFF, backoff * 2))


def _busy(member: Member) -> int:
    return len(member.handed)
