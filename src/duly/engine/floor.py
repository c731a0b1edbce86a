"""The floor: a node's runners at work. What is claimed waits here, is handed over, runs, and comes to its outcome."""

# long module: one place where work meets runners; each event is a short method

from __future__ import annotations

import logging
import select
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from duly.core.estimate import HAND_MOST
from duly.core.outcome import Interrupted
from duly.core.task import Held
from duly.engine.attempt import Attempt, began, outcome_of_answer, outcome_of_end, policy_of, said
from duly.engine.clock import Clock
from duly.engine.console import Console
from duly.engine.crew import SHARED_MOST, Crew, Member, longer
from duly.engine.cycle import Cycle
from duly.engine.inside import Inside
from duly.engine.roster import Roster
from duly.engine.settings import Settings
from duly.engine.suspects import Suspects
from duly.engine.ticker import Ticker
from duly.engine.watching import LOOK_SECONDS, PATIENT_SECONDS, Watch
from duly.engine.window import Waiting, Window
from duly.errors import ErrorData, HandlerUnavailable, RunnerUnavailable
from duly.ports import Born, Ended, Lost, NotBorn, Pool, Prepared, Printed, Runner, RunnerEvent, Told
from duly.wire.runner import Ask, Done, Fit, Said, Setup

log = logging.getLogger("duly.node")

TEARDOWN_SECONDS = 10.0
"""How long what runs around a runner's life may take to end."""

KEPT_OUTPUT = 64 * 1024
"""Bytes of what an attempt printed that are kept."""


class Room(NamedTuple):
    """How many more to claim of what runs one at a time, and of what runs many; whether a runner would be `idle`."""

    alone: int
    shared: int
    idle: bool


class Floor:
    """The runners of one node, and all attempts that it has. Owned by the node's loop.

    What becomes of attempts goes to its `cycle`; the `ticker` says when to look again.
    """

    def __init__(
        self,
        make_pool: Callable[[], Pool],
        roster: Roster,
        settings: Settings,
        console: Console,
        inside: Inside,
        ticker: Ticker[str | Member],
        epoll: select.epoll,
        clock: Clock,
    ) -> None:
        self._make_pool = make_pool
        self._roster = roster
        self._settings = settings
        self._console = console
        self._inside = inside
        self.cycle = Cycle(0, clock.now, self.let_go)
        self._ticker = ticker
        self._epoll = epoll
        self._clock = clock
        self.pool = make_pool()
        self.waiting = Waiting()
        waits = inside.waits if settings.beside else _never
        self.crew = Crew(self.pool, settings.concurrency, settings.hand_most, waits, once=bool(roster.around))
        self.suspects = Suspects(self.crew)
        self._watch = Watch(self.crew, self.cycle, ticker, clock, self._return, self._unfit)
        self.look_at = self._watch.look_at
        self.stop_all = self._watch.stop_all
        self.prepared = False
        self.uncertain = False
        """Whether what was claimed may be paused: lanes and pauses are being read anew, and nothing is begun before."""
        self.ready = threading.Event()
        self._closing = False
        self._backoff = 0.0
        self._handed = 0
        self._handed_before = 0

    # the process that forks runners
    def start(self, *, preload: bool) -> None:
        """Begin to import the user's code in a process of its own. Raises `RunnerUnavailable`."""
        self._epoll.register(self.pool, select.EPOLLIN)
        settings = self._settings
        self.pool.start(
            Setup(
                targets=self._roster.targets,
                preload=preload,
                most_bytes=settings.most_bytes,
                around=self._roster.around,
                recycle_tasks=settings.recycle_tasks,
                recycle_growth=settings.recycle_growth,
            )
        )

    def restart(self, *, preload: bool) -> None:
        """Import anew in another process, or later where the machine refuses one."""
        self._epoll.unregister(self.pool)
        self.pool.close()
        self.pool = self._make_pool()
        self.crew.move(self.pool)
        try:
            self.start(preload=preload)
        except RunnerUnavailable as error:
            log.warning("%s", error)
            self._restart_later()

    def _restart_later(self) -> None:
        """At once after the first loss; whose import ends its process would have it started all day."""
        self._ticker.set("pool", time.monotonic() + self._backoff)
        self._backoff = longer(self._backoff)

    def _hear_prepared(self, problems: list[Any], unshared: list[str]) -> None:
        if problems and not self.ready.is_set():
            raise HandlerUnavailable(
                "\n".join(f"{self._roster.title(p.target)}: {_told_error(p.error)}" for p in problems)
            )
        for problem in problems:
            log.error("%s cannot be served: %s", self._roster.title(problem.target), _told_error(problem.error))
            self._roster.lose(problem.target)
        if problems:
            for attempt in self.waiting.take_all():
                self._return(attempt)
        if unshared:
            log.warning("importing %s: each runner imports it by itself, which is slower", " and ".join(unshared))
            self.restart(preload=False)
            return
        self.prepared, self._backoff = True, 0.0
        self.fill(time.monotonic())
        self.ready.set()

    def _lost(self) -> None:
        """The process that forks runners is gone, and they with it: as if the node was, but for what has not begun."""
        if not self.ready.is_set():
            raise HandlerUnavailable("the process that imports the handlers ended while it did so")
        log.error("the process that starts runners ended; starting another")
        for member in self.crew:
            running = member.runner.running()
            self._print_rest(member.runner)
            self._ticker.clear(member)
            for attempt in member.handed.values():
                if member.began(attempt, running):
                    self._watch.notice(attempt, member.since(attempt, running))
                    self.cycle.lose(attempt)
                    self.suspects.ended(attempt)
                else:
                    self._return(attempt)
            self._inside.gone(member.runner.number)
            self.crew.ended(member.runner)
        suspect = self.suspects.give_up()
        if suspect is not None:
            self.cycle.hand_back(suspect)
        self.prepared = False
        self._restart_later()

    # work
    def room(self) -> Room:
        """How much more there is room for."""
        if self._closing or self.suspects.alone:
            return Room(0, 0, idle=False)
        runners, idle = self.crew.prefetching()
        shared = self.crew.sharing_room() - len(self.waiting.shared) if self._roster.shares else 0
        return Room(self.waiting.alone.room(runners, idle), max(0, shared), idle=idle > len(self.waiting.alone))

    def take(self, held: Held) -> bool:
        """A claim: from now on it is this node's; whether it is of those that run many at a time."""
        if held.claim > 1:
            self._forget(held.key)
        place, policy, isolation = self._roster.served(held.lane)
        if held.options is not None:
            policy = self._roster.bounds(policy_of(policy, held.options))
        attempt = Attempt(held, place, policy, self.waiting.alone.time_of(held.lane), isolation)
        if self._closing or (held.lane in self._roster.closed and self._refused(attempt)):
            self.cycle.hand_back(attempt)
        elif held.suspect:
            self.suspects.take(attempt)
            for waiting in self.waiting.take_all():  # others may be free to begin them
                self.cycle.hand_back(waiting)
        else:
            self.waiting.put(attempt)
        return isolation == "shared"

    def _refused(self, attempt: Attempt) -> bool:
        return not self._roster.usable(attempt.target) or self._paused(attempt.held)

    def _paused(self, held: Held) -> bool:
        """Whether it is not to be begun now; a pause holds up no cleanup."""
        return held.lane in self._roster.paused and held.verdict is None

    def heed_pauses(self) -> None:
        """Give back what is paused and has not begun, also what runners hold."""
        suspect = self.suspects.give_up(self._paused)
        if suspect is not None:
            self.cycle.hand_back(suspect)
        for attempt in self.waiting.take_all():
            self._return(attempt)
        for member in self.crew:
            if any(map(self._paused, (attempt.held for attempt in member.handed.values()))):
                self._watch.take_back(member)

    def dispatch(self, now: float) -> None:
        """Hand over what waits and fits."""
        if self.uncertain:
            return
        if self.suspects.alone:
            self._prepare_suspect(now)
            return
        while len(self.waiting.shared) and any(
            self._hand(self.waiting.shared, member, SHARED_MOST) for member in self.crew.sharing()
        ):
            pass
        while len(self.waiting.alone) and self._hand_round():
            pass

    def _hand_round(self) -> bool:
        """Hand over the first that waits, and what fits with it; whether anything was."""
        kind = self.waiting.alone.first().isolation
        taking = self.crew.taking(kind)
        share = -(-len(self.waiting.alone) // len(taking)) if taking else 0
        return sum(self._hand(self.waiting.alone, member, share) for member in taking) > 0  # each has its share

    def _refill(self, member: Member) -> bool:
        """Hand over to who has just answered; whether anything was."""
        if self.suspects.alone or self.uncertain or member.shared or not len(self.waiting.alone):
            return False
        return self._hand(self.waiting.alone, member, HAND_MOST)

    def _hand(self, window: Window, member: Member, most: int) -> bool:
        """Hand over the most urgent first, while they fit; whether any did."""
        if not member.takes:
            return False
        was_blank, was_idle, handed, now = member.kind is None, not member.handed, 0, time.monotonic()
        while handed < most and len(window) and self.crew.hand(member, window.first(), now):
            window.pop()
            handed += 1
        self._handed += handed
        if was_idle and handed:
            self._ticker.soonest(member, now + LOOK_SECONDS)
        if was_blank and handed:
            self.fill(now)  # whoever comes next may be of another kind
        return handed > 0

    def make_way(self, claims: list[Held]) -> None:
        """What waits inside runners goes back into the window if something of a higher band came."""
        if not claims:
            return
        band = min(held.band for held in claims)
        for member in self.crew:
            if member.shared:
                continue
            if len(member.handed) > 1 and any(attempt.held.band > band for attempt in member.handed.values()):
                self._watch.take_back(member)

    def _return(self, attempt: Attempt) -> None:
        """An attempt that has not begun waits again, or goes back if it is not to be begun here."""
        self.suspects.ended(attempt)
        held, begun_here = attempt.held, not (self._closing or self.suspects.alone or self._refused(attempt))
        if held.verdict is not None or held.suspect or not begun_here:
            self.cycle.hand_back(attempt)
        else:
            self.waiting.put(attempt)

    def _prepare_suspect(self, now: float) -> None:
        for member in self.crew:
            if len(member.handed) > 1:
                self._watch.take_back(member)
        if self.cycle.under_way:  # the answer that tells of its note must be the next one
            return
        attempt = self.suspects.to_note()
        if attempt is not None:
            began(attempt, now, self._clock.now())
            self.cycle.note(attempt)
        self.fill(now)

    def let_go(self, attempt: Attempt) -> None:
        """An attempt is another's by now: what still runs here of it is in vain, and what it says is not told."""
        self.suspects.ended(attempt)
        attempt.in_vain = True
        for member in self.crew:
            if member.handed.get(attempt.held.key) is not attempt:
                continue
            if member.shared and len(member.handed) > 1:  # it has neighbours: it is stopped as at a drain
                now = time.monotonic()
                attempt.stop().ask("drain", now)
                self._ticker.set(member, now)
            else:
                self._kill(member, attempt)

    def _kill(self, member: Member, attempt: Attempt) -> None:
        """End a runner for what it runs in vain, unless it has not begun that."""
        for taken in self.crew.take_back(member):
            if taken is not attempt:
                self._return(taken)
        if member.remove(attempt.held.key, attempt.held.claim) is not None:
            member.in_vain = True
            member.runner.climb("kill", attempt.held.key, attempt.held.claim, "")

    def _forget(self, key: int) -> None:
        """A task was claimed anew: whatever is here of it under an older claim was another's meanwhile."""
        self.waiting.remove(key)
        suspect = self.suspects.attempt
        if suspect is not None and suspect.held.key == key:
            self.suspects.ended(suspect)
        for member in self.crew:
            attempt = member.handed.get(key)
            if attempt is not None:
                attempt.in_vain = True
                self._kill(member, attempt)

    def attempts(self) -> list[Attempt]:
        """All that wait or run here."""
        suspect = self.suspects.attempt
        handed = [attempt for member in self.crew for attempt in member.handed.values() if not attempt.in_vain]
        return [*self.waiting.all(), *handed, *([suspect] if suspect is not None else [])]

    def drop(self, attempt: Attempt) -> None:
        """An attempt is another's by now, which nobody has told."""
        if self.waiting.remove(attempt.held.key) is None:
            self.let_go(attempt)

    def close_down(self) -> int:
        """Begin nothing more, and give back what has not begun; how many runners are at work."""
        self._closing = True
        for attempt in self.waiting.take_all():
            self.cycle.hand_back(attempt)
        suspect = self.suspects.give_up()
        if suspect is not None:
            self.cycle.hand_back(suspect)
        for member in self.crew:
            self._watch.take_back(member)
        return self.at_work()

    def at_work(self) -> int:
        """How many runners are at work."""
        return sum(bool(member.handed) for member in self.crew)

    def status(self) -> str:
        """How it stands, in words."""
        running = sum(len(member.handed) for member in self.crew)
        told = f"{running} tasks running in {len(self.crew)} runners, {len(self.waiting)} waiting for one"
        return f"told to stop: {told}" if self._closing else told

    def over(self) -> bool:
        """Whether nothing waits or runs here."""
        return not len(self.waiting) and not any(member.handed for member in self.crew)

    def cancel(self, key: int, claim: int, verdict: int, now: float) -> None:
        """A task that this node holds is to end otherwise."""
        attempt = self.waiting.remove(key) or self.suspects.give_up(lambda held: held.key == key)
        if attempt is None:
            self._watch.cancel(key, claim, verdict, now)
            return
        attempt.held = msgspec.structs.replace(attempt.held, verdict=verdict)
        self.cycle.hand_back(attempt)

    def hand_back_idle(self) -> None:
        """Give back what waits if nothing was handed over since the last time: others may be free to begin it."""
        if self._handed == self._handed_before:
            for attempt in self.waiting.alone.take_all():
                self.cycle.hand_back(attempt)
        self._handed_before = self._handed

    # runners
    def hear(self, event: RunnerEvent) -> bool:
        """Something has happened to the runners. Raises `HandlerUnavailable` at the start.

        Whether it was nothing but answers, and who answered has been handed more: others can take no more than before.
        """
        match event:
            case Told():
                return self._told(event)
            case Printed(runner, data, task, last):
                self._printed(runner.number, task, data, last=last)
            case Born(runner):
                self._born(runner)
            case Ended():
                self._ended(event)
            case NotBorn(runner, reason):
                self.crew.refused(reason, time.monotonic(), runner)
                self.fill(time.monotonic())
            case Prepared(problems, unshared):
                self._hear_prepared(problems, unshared)
            case Lost():
                self._lost()
        return False

    def _born(self, runner: Runner) -> None:
        member = self.crew.member(runner.number)
        if member is None:
            return
        if self._roster.around:
            member.born_at = time.monotonic()
            self._ticker.set(member, member.born_at + PATIENT_SECONDS)
        else:
            self.crew.ready(member)

    def _fit(self, member: Member, error: ErrorData | None) -> None:
        """What runs around its life has begun, or failed."""
        if error is None:
            self._ticker.clear(member)
            self.crew.ready(member)
            return
        self._unfit(member, _told_error(error))

    def _unfit(self, member: Member, reason: str) -> None:
        member.retiring = True
        self.crew.refused(f"runner_setup: {reason}", time.monotonic())
        self.fill(time.monotonic())

    def fill(self, now: float) -> None:
        """Have as many runners as are wanted, or try again later."""
        if not self._closing and self.prepared:
            self.crew.fill(now)
        if self.crew.retry_at is not None:
            self._ticker.set("spawn", self.crew.retry_at)

    def _retire(self, member: Member) -> None:
        for attempt in self.crew.retire(member):
            self._return(attempt)
        self._ticker.soonest(member, time.monotonic() + TEARDOWN_SECONDS)
        self.fill(time.monotonic())

    def let_runners_end(self) -> float:
        """Have what runs around each runner's life end, and return the seconds to give it."""
        if not self._roster.around:
            return 0.0
        for member in self.crew:
            self.crew.retire(member)
        return TEARDOWN_SECONDS

    def _ended(self, event: Ended) -> None:
        """A runner is gone: whom it was running is charged, the others have not begun."""
        running = event.runner.running()
        self._print_rest(event.runner)
        self._inside.gone(event.runner.number)
        member = self.crew.ended(event.runner)
        self._ticker.clear(member) if member is not None else None
        if member is not None:
            if not (member.ready or member.retiring):
                how = f"signal {event.signal}" if event.signal else f"status {event.exit_code}"
                self.crew.refused(f"runner_setup: its process ended in it, with {how}", time.monotonic())
            charged = _charged(member, running, killed=event.signal == signal.SIGKILL)
            for attempt in list(member.handed.values()):
                if not member.began(attempt, running):
                    self._return(attempt)
                    continue
                self._watch.notice(attempt, member.since(attempt, running))
                if charged is None:
                    self.cycle.lose(attempt)
                elif attempt.held.key in charged:
                    self.cycle.finish(attempt, outcome_of_end(attempt, event.signal, event.exit_code))
                else:
                    self.cycle.finish(attempt, Interrupted("the runner that it shared ended"))
                self.suspects.ended(attempt)
        self.fill(time.monotonic())

    # what they say
    def _told(self, event: Told) -> bool:  # the hot path: about 6 µs a message
        member = self.crew.member(event.runner.number)
        if member is None:
            return False
        now = self._clock.now()
        done, alike = False, True
        for message in event.messages:
            if not isinstance(message, Done):
                alike = False
                if isinstance(message, Fit):
                    self._fit(member, message.error)
                    continue
                attempt = member.handed.get(message.key)
                if attempt is not None and attempt.held.claim == message.claim:
                    self._heard(member, attempt, message, now)
                elif isinstance(message, Ask):
                    self._inside.turn_away(member.runner, message)
                continue
            if self._inside.callers:
                self._inside.over(member.runner.number, message.key, message.claim)
            done = True
            attempt = member.remove(message.key, message.claim)
            if attempt is not None:
                self._answer(attempt, message, now)
                if attempt.stopping is not None and _timed_out(attempt) and not member.shared:
                    self._retire(member)
            if message.retire:
                self._retire(member)
        if done:
            member.overrun = False
            if member.held_back:
                member.held_back = member.shared and any(map(_is_asked, member.handed.values()))
            if not member.handed:
                self._idle(member)
            return self._refill(member) and alike and not member.retiring
        return False

    def _idle(self, member: Member) -> None:
        """A runner has answered all that it was handed."""
        self.crew.idle(member)
        if not member.shared and self.crew.surplus():
            self._retire(member)
        if member.retiring:
            self._ticker.set(member, time.monotonic() + TEARDOWN_SECONDS)

    def _heard(self, member: Member, attempt: Attempt, message: Said | Ask, now: int) -> None:
        try:
            if isinstance(message, Ask):
                self._asked(member, message)
                return
            self._watch.notice_running(member, attempt)
            said(attempt, message, now)
        except ValueError:  # the user's code got hold of the channel
            member.runner.climb("kill", message.key, message.claim, "")
        else:
            self.cycle.note(attempt)

    def _asked(self, member: Member, ask: Ask) -> None:
        """A handler asks; where it waits for another task, that may be what was handed over behind it."""
        self._inside.hear(member.runner, ask)
        if self._inside.waits(member.runner.number) and not member.shared:
            member.overrun = True
            self._watch.take_back(member)
            self.fill(time.monotonic())

    def _answer(self, attempt: Attempt, done: Done, now: int) -> None:
        self.waiting.of(attempt).observe(attempt, done.nanoseconds / 1e9)
        if attempt.began_at is None:
            attempt.started_at = now - done.nanoseconds // 1000
            attempt.events.insert(0, ("start", attempt.started_at, None))
        outcome = outcome_of_answer(attempt, done, self._clock.of_wall(done.until) if done.until is not None else 0)
        if done.children:
            outcome = self._inside.adopt(attempt, done.children, outcome)
        self.cycle.finish(attempt, outcome)
        self.suspects.ended(attempt)

    def _printed(self, runner: int, task: tuple[int, int] | None, data: bytes, *, last: bool) -> None:
        """Pass on what was printed, and keep its end with its attempt."""
        member = self.crew.member(runner)
        attempt = member.handed.get(task[0]) if member is not None and task is not None else None
        label = "duly"
        if attempt is not None:
            attempt.output = (attempt.output + data)[-KEPT_OUTPUT:]
            label = f"{self._roster.title(attempt.target)} {attempt.held.id}"
        self._console.show(runner, label, data, last=last)

    def _print_rest(self, runner: Runner) -> None:
        """A runner is gone: its line will not be finished."""
        running = runner.running()
        self._printed(runner.number, running and running[:2], b"", last=True)


def _never(_runner: int) -> bool:
    return False


def _charged(member: Member, running: tuple[int, int, int] | None, *, killed: bool) -> set[int] | None:
    """The keys of those whom a runner's end is due to; None if that cannot be known, as with a lost node."""
    if member.in_vain:
        return set()
    named = {key for key, attempt in member.handed.items() if member.runs(attempt, running)}
    asked = {key: attempt.stop().since for key, attempt in member.handed.items() if _is_asked(attempt)}
    if not (member.shared and asked):
        return named if named or not member.shared else None
    if not killed:
        return named | asked.keys() if named else None
    kept_the_loop = running is not None and running[2] / 1e9 < min(asked.values())  # nobody heard that he was asked
    return named if kept_the_loop and named else set(asked)


def _is_asked(attempt: Attempt) -> bool:
    return attempt.stopping is not None and attempt.stopping.reason is not None


def _timed_out(attempt: Attempt) -> bool:
    return attempt.stopping is not None and attempt.stopping.reason == "timeout"


def _told_error(error: Any) -> str:
    return str(error.traceback or f"{error.type}: {error.message}").rstrip()
