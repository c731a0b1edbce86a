"""Watching what runs: since when, how much memory it takes, and by which rung it is stopped."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import msgspec

from duly.core.estimate import HAND_SECONDS
from duly.core.stopping import Reason
from duly.engine.attempt import Attempt, began
from duly.engine.clock import Clock
from duly.engine.crew import Crew, Member
from duly.engine.cycle import Cycle
from duly.engine.ticker import Ticker

log = logging.getLogger("duly.node")

LOOK_SECONDS = 0.002
"""How long code may run before the node looks at what it is: an answer that comes sooner tells by itself."""

OVERRUN_SECONDS = 2 * HAND_SECONDS
"""A task that runs for so long is not short: what waits behind it is taken back."""

SHARED_LOOK_SECONDS = 0.05
"""How often a node looks at those that run many at a time; one that ends sooner tells by itself."""

SETUP_SECONDS = 60.0
PATIENT_SECONDS = 5.0
"""How long what runs around a runner's life may take to begin, and after what time it is said that it has not."""

LATE_SECONDS = 5.0
"""How long a runner may have work in hand and run nothing: then something has stopped it, or holds it."""


class Watch:
    """Looks at the runners of a crew when the ticker says so, and has their attempts stopped.

    `give_back` is told of attempts that a runner had and has not begun, `unfit` of one whose life cannot begin.
    """

    def __init__(
        self,
        crew: Crew,
        cycle: Cycle,
        ticker: Ticker[str | Member],
        clock: Clock,
        give_back: Callable[[Attempt], None],
        unfit: Callable[[Member, str], None],
    ) -> None:
        self._crew = crew
        self._cycle = cycle
        self._ticker = ticker
        self._clock = clock
        self._give_back = give_back
        self._unfit = unfit

    def look_at(self, member: Member, now: float) -> None:
        """See what a runner runs, note that it began, and stop it if its time or memory is over."""
        if member.shared and member.handed:
            self._look_at_shared(member, now)
            return
        if not member.handed and (member.retiring or not member.ready):
            self._end_late(member)
            return
        running = member.runner.running()
        attempt = member.handed.get(running[0]) if running is not None else None
        if running is None or attempt is None or attempt.held.claim != running[1]:
            if member.handed:
                self._ticker.set(member, now + LOOK_SECONDS)
                if member.lies(running, now):
                    member.runner.climb("kill", 0, 0, "")
                elif running is None and now - min(map(_handed_at, member.handed.values())) > LATE_SECONDS:
                    self._give_up(member)
            return
        since = running[2] / 1e9
        if now - since < LOOK_SECONDS and attempt.stopping is None:
            self._ticker.set(member, since + LOOK_SECONDS)
            return
        self.notice(attempt, since)
        stopping = attempt.stop()
        limit = stopping.measures
        if limit is not None:
            stopping.measured(member.runner.memory(limit) or 0)
        rung, again = stopping.look(now)
        if rung is not None:
            self._stop_alone(member, attempt)
            if member.runner.running() != running:  # it has just ended; who runs there now is not meant
                self._ticker.set(member, now + LOOK_SECONDS)
                return
            member.runner.climb(rung, attempt.held.key, attempt.held.claim, stopping.reason or "")
        if now - since >= OVERRUN_SECONDS:
            member.overrun = True
            self.take_back(member)
        else:
            again = min(again, since + OVERRUN_SECONDS)
        self._ticker.set(member, again)

    def _look_at_shared(self, member: Member, now: float) -> None:
        """See which of many have begun for long enough to be told, and whose time is over."""
        again = now + SHARED_LOOK_SECONDS
        for attempt in list(member.handed.values()):
            if now - attempt.handed_at < SHARED_LOOK_SECONDS and attempt.stopping is None:
                continue
            self.notice(attempt, attempt.handed_at)
            rung, soonest = attempt.stop().look(now)
            again = min(again, soonest)
            if rung is None or rung == "terminate":  # which would end all the others before their time
                continue
            held = attempt.held
            member.held_back = True  # others go to another one, until it has answered
            if rung == "ask":
                member.runner.stop_one(held.key, held.claim, attempt.stop().reason or "")
            member.runner.climb(rung, held.key, held.claim, attempt.stop().reason or "")
        self._ticker.set(member, again)

    def _give_up(self, member: Member) -> None:
        """It begins nothing; without a beginning no time limit would ever end that."""
        log.warning("%s does not begin what it was handed and is killed", member.runner)
        member.retiring = True
        self.take_back(member)
        member.runner.climb("kill", 0, 0, "")

    def _end_late(self, member: Member) -> None:
        """What runs around its life has had its time, to begin or to end."""
        if member.retiring:
            log.warning("%s does not end by itself and is killed", member.runner)
        elif time.monotonic() < member.born_at + SETUP_SECONDS:
            log.warning(
                "runner_setup has not come to its yield in %g s (%s); tasks wait for it", PATIENT_SECONDS, member.runner
            )
            self._ticker.set(member, member.born_at + SETUP_SECONDS)
            return
        else:
            self._unfit(member, f"it had not begun after {SETUP_SECONDS:g} s")
        member.runner.climb("kill", 0, 0, "")

    def notice(self, attempt: Attempt, since: float) -> None:
        """An attempt began at this moment; once is enough."""
        if attempt.began_at is None:
            began(attempt, since, self._clock.at(since))
            self._cycle.note(attempt)

    def notice_running(self, member: Member, attempt: Attempt) -> None:
        """An attempt that tells something has begun, also if nobody has looked yet; and even if it is over by now."""
        running = member.runner.running()
        known = member.began(attempt, running)
        self.notice(attempt, member.since(attempt, running) if known else time.monotonic())

    def _stop_alone(self, member: Member, attempt: Attempt) -> None:
        """What is to be stopped must have nobody behind it that could be hit instead."""
        member.held_back = True
        for taken in self._crew.take_back(member):
            if taken is not attempt:
                self._give_back(taken)

    def cancel(self, key: int, claim: int, verdict: int, now: float) -> None:
        """A task that some runner has is to end otherwise."""
        for member in self._crew:
            attempt = member.handed.get(key)
            if attempt is None or attempt.held.claim != claim or attempt.held.verdict is not None:
                continue
            attempt.held = msgspec.structs.replace(attempt.held, verdict=verdict)
            running = member.runner.running()
            if running is None or running[0] != key:
                self.take_back(member)
            if key in member.handed:
                attempt.stop().ask("cancel", now)
                self._ticker.set(member, now)

    def stop_all(self, reason: Reason, now: float) -> None:
        """Ask all that runs to stop."""
        for member in self._crew:
            for attempt in member.handed.values():
                attempt.stop().ask(reason, now)
            if member.handed:
                self._ticker.set(member, now)

    def take_back(self, member: Member) -> None:
        """Take back what a runner has not begun to read."""
        for attempt in self._crew.take_back(member):
            self._give_back(attempt)


def _handed_at(attempt: Attempt) -> float:
    return attempt.handed_at
