"""The runners of a node: kept at their number, handed work while it is short, replaced when they end.

Runners are born blank. What one is handed first makes it a warm one, which runs tasks one after another; a fresh one,
which forks for each; or a shared one, which runs many at a time. Only so many as the node's size are at work at a time,
but for the shared; one blank one more is kept ready for when one has to be killed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from duly.core.action import Isolation
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

LIE_SECONDS = 1.0
"""How long a runner may go on with what it has answered; an honest one takes some microseconds."""

SHARED_MOST = 1_000
"""Attempts that one shared runner runs at a time, at most."""

SPARES = 1
"""Blank runners beyond the node's size."""


class Member:
    """One runner, and what it has been handed and not answered: by key, in order.

    `kind` is None while it is blank. `overrun`: what it runs is not short, others would wait for it. `held_back`: what
    it runs is being stopped, others could be hit instead. `in_vain`: it is killed for a task that is
    another's by now, which is nobody's fault here.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.handed: dict[int, Attempt] = {}
        self.kind: Isolation | None = None
        self.born_at = 0.0
        self.ready = False
        self.retiring = False
        self.overrun = False
        self.held_back = False
        self.in_vain = False
        self.gone = False
        self._seconds = 0.0
        self._unknown = 0
        self._answered: tuple[int, int, int] | None = None
        self._answered_at = 0.0

    def __repr__(self) -> str:
        return f"<Member {self.runner} with {len(self.handed)}>"

    @property
    def takes(self) -> bool:
        """Whether it may be handed anything at all."""
        return self.ready and not (self.retiring or self.overrun or self.held_back or self.gone)

    @property
    def shared(self) -> bool:
        """Whether it runs many at a time."""
        return self.kind == "shared"

    def fits(self, attempt: Attempt, most: int) -> bool:
        """Whether this attempt may be handed to it, too."""
        if self.kind is not None and self.kind != attempt.isolation:
            return False
        if attempt.isolation == "shared":
            return len(self.handed) < SHARED_MOST
        return fits(len(self.handed), None if self._unknown else self._seconds, attempt.time.seconds, most)

    def runs(self, attempt: Attempt, running: tuple[int, int, int] | None) -> bool:
        """Whether this attempt is what it says that it runs."""
        return running is not None and running[:2] == (attempt.held.key, attempt.held.claim)

    def began(self, attempt: Attempt, running: tuple[int, int, int] | None) -> bool:
        """Whether it has begun this attempt; a shared one begins all at once."""
        return self.shared or self.runs(attempt, running)

    def since(self, attempt: Attempt, running: tuple[int, int, int] | None) -> float:
        """When it began this attempt, in seconds."""
        return attempt.handed_at if self.shared or running is None else running[2] / 1e9

    def lies(self, running: tuple[int, int, int] | None, now: float) -> bool:
        """Whether it still runs what it has answered a while ago: nobody behind that would ever begin."""
        if running is None or running != self._answered:
            self._answered, self._answered_at = running, now
            return False
        return now - self._answered_at > LIE_SECONDS

    def add(self, attempt: Attempt, now: float) -> None:
        """It has been handed this."""
        self.kind = attempt.isolation
        attempt.handed_at = now
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
    """All runners of a node. `most` bounds what one may have in hand.

    One that `waits` for others does not count as one at work. `once`: what is to have a process of its own has a runner
    of its own, since there is something around its life.
    """

    def __init__(
        self,
        pool: Pool,
        size: int,
        most: int = HAND_MOST,
        waits: Callable[[int], bool] = lambda _: False,
        *,
        once: bool = False,
    ) -> None:
        self._pool = pool
        self._size = size
        self._most = most
        self._once = once
        self._blank = 2 * size if once else SPARES
        self._waits = waits
        self._members: dict[int, Member] = {}
        self._backoff = 0.0
        self._trace = ""
        self.retry_at: float | None = None

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def member(self, number: int) -> Member | None:
        """The member whose runner has this number."""
        return self._members.get(number)

    def taking(self, kind: Isolation = "process") -> list[Member]:
        """Those that may be handed what runs one at a time: the idle first, of them the warm before the blank."""
        taking = [member for member in self._members.values() if member.takes and member.kind in (None, kind)]
        idle = sorted((member for member in taking if not member.handed), key=_is_blank)
        return idle[: self.room()] + sorted((member for member in taking if member.handed), key=_busy)

    def blank(self) -> list[Member]:
        """Those that may be handed what is to have a process of its own."""
        return [member for member in self._members.values() if member.takes and member.kind is None]

    def sharing(self) -> list[Member]:
        """Those that may be handed what runs many at a time: the busiest first, so that others come to an end."""
        shared = [member for member in self._members.values() if member.takes and member.shared]
        return sorted(shared, key=_busy, reverse=True) or self.blank()[:1]

    def sharing_room(self) -> int:
        """How many more may run among many."""
        return max((SHARED_MOST - len(member.handed) for member in self.sharing()), default=0)

    def prefetching(self) -> tuple[int, int]:
        """How many runners there are that what runs one at a time can be claimed for, and how many of them are idle."""
        busy = idle = at_work = 0
        for member in self._members.values():
            if member.handed:
                at_work += self._at_work(member)
                busy += member.takes and not member.shared
            else:
                idle += member.takes and not member.shared
        idle = min(idle, max(0, self._size - at_work))
        return busy + idle, idle

    def room(self) -> int:
        """How many more may be at work; a shared one does not count, nor who is about to be replaced or waits."""
        return max(0, self._size - sum(map(self._at_work, self._members.values())))

    def _at_work(self, member: Member) -> bool:
        if not member.handed or member.shared or self._waiting(member):
            return False
        return not member.retiring or (self._once and member.kind == "fresh")

    def spare_sharers(self) -> list[Member]:
        """Idle shared ones beside another that takes."""
        sharing = [member for member in self.sharing() if member.shared]
        return [member for member in sharing[1:] if not member.handed]

    def move(self, pool: Pool) -> None:
        """From now on runners are another pool's; those of the last one have ended."""
        self._pool = pool

    def fill(self, now: float) -> None:
        """Ask for as many runners as are missing, unless the machine refused some a moment ago."""
        if self.retry_at is not None and now < self.retry_at:
            return
        self.retry_at = None
        while self._lacks() and len(self._members) < self._size + MOST_BESIDE:
            try:
                self.spawn()
            except RunnerUnavailable as error:
                self.refused(str(error), now)
                return

    def _lacks(self) -> bool:
        counted = [member for member in self._members.values() if not (member.retiring or self._waiting(member))]
        alone = sum(not member.shared for member in counted)
        return alone < self._size + SPARES or sum(member.kind is None for member in counted) < self._blank

    def _waiting(self, member: Member) -> bool:
        return self._waits(member.runner.number)

    def surplus(self) -> bool:
        """Whether there are more warm runners than are wanted, since handlers have ended their waiting."""
        if len(self._members) <= self._size + SPARES:
            return False
        kinds = [member.kind for member in self._members.values() if not member.retiring]
        return max(kinds.count("process"), kinds.count("fresh")) > self._size

    def spawn(self) -> Member:
        """Ask for one more runner."""
        runner = self._pool.spawn()
        member = self._members[runner.number] = Member(runner)
        return member

    def ready(self, member: Member) -> None:
        """A runner can be handed work."""
        self._backoff = 0.0
        member.ready = True

    def refused(self, reason: str, now: float, runner: Runner | None = None) -> None:
        """The machine refused a runner: try again later, and later still."""
        if runner is not None:
            self._members.pop(runner.number, None)
            runner.close()
        self._backoff = longer(self._backoff)
        self.retry_at = now + self._backoff
        log.warning("no runner could be started (%s); trying again in %.1f s", self._news(reason), self._backoff)

    def _news(self, reason: str) -> str:
        """What is new of a reason: a traceback is told once, after that its last line."""
        trace, _, last = reason.rpartition("\n")
        known, self._trace = trace == self._trace, trace
        return f"{last}, at the place told before" if trace and known else reason

    def hand(self, member: Member, attempt: Attempt, now: float) -> bool:
        """Hand over an attempt if it fits."""
        if not member.fits(attempt, self._most) or not member.runner.hand(work_of(attempt)):
            return False
        member.add(attempt, now)
        if attempt.isolation == "fresh" and self._once:
            self.use_once(member)
        return True

    def use_once(self, member: Member) -> None:
        """Have it end after what it was just handed."""
        member.retiring = True
        member.runner.retire()

    def take_back(self, member: Member) -> list[Attempt]:
        """Take back what a runner has not begun to read; a shared one begins all at once."""
        if member.shared:
            return []
        taken = (member.remove(key, claim) for key, claim in member.runner.take_back())
        return [attempt for attempt in taken if attempt is not None]

    def retire(self, member: Member) -> list[Attempt]:
        """Use a runner no more; return what it was handed in vain."""
        member.retiring = True
        taken = self.take_back(member)
        if not (member.shared and member.handed):
            member.runner.retire()
        return taken

    def idle(self, member: Member) -> None:
        """A runner has answered all: a shared one that was to retire can do so, others beside another one have to."""
        if member.shared:
            if member.retiring:
                member.runner.retire()
            for spare in self.spare_sharers():
                self.retire(spare)

    def ended(self, runner: Runner) -> Member | None:
        """A runner is gone."""
        runner.close()
        member = self._members.pop(runner.number, None)
        if member is not None:
            member.gone = True
        return member


def longer(backoff: float) -> float:
    """Return the seconds to wait after one more refusal in a row."""
    return min(MOST_BACKOFF, max(LEAST_BACKOFF, backoff * 2))


def _busy(member: Member) -> int:
    return len(member.handed)


def _is_blank(member: Member) -> bool:
    return member.kind is None
