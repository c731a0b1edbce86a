"""A node: one running duly process that holds tasks and has its runners run them.

One thread, one loop: it waits on its bell, on the store's thread and on its runners, and does what falls due. In each
turn it hears what happened, hands over what fits, and, unless an exchange is under way, begins the next one.
"""

# long module: one loop and the answer to each of its events belong together

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from duly.core.estimate import HAND_MOST, HAND_SECONDS
from duly.core.outcome import Interrupted
from duly.core.task import Held
from duly.engine.asking import ask
from duly.engine.attempt import Attempt, began, outcome_of_answer, outcome_of_end, policy_of, said
from duly.engine.console import Console
from duly.engine.crew import SHARED_MOST, Crew, Member, longer
from duly.engine.cycle import Cycle
from duly.engine.inside import Inside
from duly.engine.rescue import rescue
from duly.engine.roster import Roster
from duly.engine.storethread import StoreThread
from duly.engine.suspects import Suspects
from duly.engine.ticker import Ticker
from duly.engine.waker import Waker
from duly.engine.window import Window
from duly.errors import ErrorData, HandlerUnavailable, RunnerUnavailable, StoreBusy, StoreFull
from duly.ports import (
    Bell,
    Born,
    Ended,
    Lost,
    NodeRow,
    NotBorn,
    Pool,
    Prepared,
    Printed,
    Reply,
    Runner,
    RunnerEvent,
    Told,
    Want,
)
from duly.wire.runner import Ask, Done, Fit, Said, Setup

log = logging.getLogger("duly.node")

LOOK_SECONDS = 0.002
"""How long code may run before the node looks at what it is: an answer that comes sooner tells by itself."""

OVERRUN_SECONDS = 2 * HAND_SECONDS
"""A task that runs for so long is not short: what waits behind it is taken back."""

SHARED_LOOK_SECONDS = 0.05
"""How often a node looks at those that run many at a time; one that ends sooner tells by itself."""

SETUP_SECONDS = 60.0
TEARDOWN_SECONDS = 10.0
"""How long what runs around a runner's life may take to begin, and to end."""

RETRY_SECONDS = 0.25

NOTE_SECONDS = 0.01
"""Between two exchanges of which the second has nothing but progress to tell: many tasks' goes into one."""

KEPT_OUTPUT = 64 * 1024
SUSPECT_TURN = 4
BUSY_SUSPECT_TURN = 16
"""One claim in so many asks for suspects first; where there is always other work, that has to wait then."""


class Settings(NamedTuple):
    """How a node works: runners, seconds, and how many tasks one runner may have in hand."""

    concurrency: int
    poll: float = 1.0
    drain_timeout: float = 30.0
    most_bytes: int = 16 * 1024 * 1024
    hand_most: int = HAND_MOST
    label: str = ""
    recycle_tasks: int = 10_000
    recycle_growth: int = 256 * 1024 * 1024


class GivenUp(Exception):
    """This node was struck off by others; whoever runs it starts anew."""


class Node:
    """One life of a node, under one number. `run` returns when it has drained."""

    def __init__(
        self,
        thread: StoreThread,
        make_pool: Callable[[str], Pool],
        make_bell: Callable[[], Bell],
        roster: Roster,
        settings: Settings,
        console: Console,
    ) -> None:
        self._thread = thread
        self._roster = roster
        self._settings = settings
        self._console = console
        self.name = os.urandom(8).hex()
        self._bell = make_bell()
        self._make_pool = make_pool
        self._pool = make_pool(self.name)
        self._waker = Waker()
        self._inbox: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()
        self._ticker: Ticker[str | Member] = Ticker()
        self._window = Window()
        self._shared = Window()
        self._inside = Inside(thread, self._tell, roster.actions, settings.most_bytes)
        once = bool(roster.around)
        self._crew = Crew(self._pool, settings.concurrency, settings.hand_most, self._inside.waits, once=once)
        self._suspects = Suspects(self._crew)
        self._number = 0
        self._cycle = Cycle(0, self._store_now, self._let_go)
        self._offset = time.time_ns() // 1000 - time.monotonic_ns() // 1000
        self._turns = 0
        self._look = True
        self._note_at = 0.0
        self._more = {False: False, True: False}  # of what runs one at a time, and many at a time
        self._handed = 0
        self._handed_at_poll = 0
        self._draining: float | None = None
        self._prepared = False
        self._backoff = 0.0
        self._rescuing: set[int] = set()
        self.ready = threading.Event()

    # from other threads, and from signal handlers
    def drain(self, timeout: float | None = None) -> None:
        """Claim no more, give what runs so many seconds, then stop it; `run` returns when all is told."""
        seconds = self._settings.drain_timeout if timeout is None else timeout
        self._tell(lambda: self._drain(seconds))

    def _tell(self, what: Callable[[], None]) -> None:
        self._inbox.append(what)
        self._waker.wake()

    # life
    def run(self) -> None:
        """Work until drained; all that ran here is gone then. Raises `HandlerUnavailable`, `StoreError`, `GivenUp`."""
        try:
            self._begin()
            while not self._over():
                self._turn()
            ask(self._thread, _call(lambda store: store.leave(self._number)))
            self._let_runners_end()
        except BaseException:
            self._pool.close()
            self._thread.post(lambda store: store.abandon(self._number), _ignore)
            raise
        finally:
            self.close()

    def close(self) -> None:
        """Let go of everything; `run` does, this is for a node that is not run."""
        self._pool.close()
        self._bell.close()
        self._waker.close()
        self._epoll.close()

    def _begin(self) -> None:
        thread, label = self._thread, self._settings.label
        self._number = ask(thread, _call(lambda store: store.enlist(self.name, self._bell.address, label)))
        self._cycle = Cycle(self._number, self._store_now, self._let_go)
        self._roster.set_lanes(ask(thread, _call(lambda store: store.lanes(self._roster.declared()))))
        for dead in ask(thread, _call(lambda store: store.dead())):  # by the policies of their lanes
            self._rescue(dead)
        self._start_pool(preload=True)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._epoll.register(self._waker, select.EPOLLIN)
        self._ticker.set("poll", time.monotonic() + self._settings.poll)

    def _start_pool(self, *, preload: bool) -> None:
        self._epoll.register(self._pool, select.EPOLLIN)
        settings = self._settings
        self._pool.start(
            Setup(
                targets=self._roster.targets,
                preload=preload,
                most_bytes=settings.most_bytes,
                around=self._roster.around,
                recycle_tasks=settings.recycle_tasks,
                recycle_growth=settings.recycle_growth,
            )
        )

    def _restart_pool(self, *, preload: bool) -> None:
        """Import anew in another process, or later where the machine refuses one."""
        self._epoll.unregister(self._pool)
        self._pool.close()
        self._pool = self._make_pool(self.name)
        self._crew.move(self._pool)
        try:
            self._start_pool(preload=preload)
        except RunnerUnavailable as error:
            log.warning("%s", error)
            self._restart_later()

    def _restart_later(self) -> None:
        """At once after the first loss; whose import ends its process would have it started all day."""
        self._ticker.set("pool", time.monotonic() + self._backoff)
        self._backoff = longer(self._backoff)

    def _over(self) -> bool:
        if self._draining is None or self._cycle.under_way or self._cycle.anything():
            return False
        if len(self._window) or len(self._shared):
            return False
        return not any(member.handed for member in self._crew) and not self._rescuing

    def _turn(self) -> None:
        now = time.monotonic()
        ready = {fd for fd, _ in self._epoll.poll(self._ticker.wait(now, self._settings.poll))}
        if self._waker.fileno() in ready:
            self._waker.clear()
        if self._bell.fileno() in ready:
            self._bell.silence()
            self._look = True
        while self._inbox:
            self._inbox.popleft()()
        if self._pool.fileno() in ready:
            for event in self._pool.events():
                self._hear(event)
        now = time.monotonic()
        for what in self._ticker.due(now):
            self._do(what, now)
        self._dispatch(now)
        self._exchange()

    def _do(self, what: str | Member, now: float) -> None:
        """Do what has fallen due."""
        if isinstance(what, Member):
            self._look_at(what, now)
            return
        match what:
            case "poll":
                self._poll(now)
            case "due":
                self._look = True
            case "note":
                pass  # it is time for what was told meanwhile, as after any event
            case "spawn":
                self._fill(now)
            case "pool":
                self._restart_pool(preload=True)
            case "drain":
                self._stop_all("drain", now)
            case "suspect":
                attempt = self._suspects.cleared(now)
                if attempt is not None:
                    self._cycle.note(attempt, cleared=True)
            case "retry":
                self._send(self._cycle.again())

    # the store
    def _store_now(self) -> int:
        return time.monotonic_ns() // 1000 + self._offset

    def _exchange(self) -> None:
        """Begin the next exchange, if none is under way and there is something to say or to look for."""
        if self._cycle.under_way:
            return
        rooms = self._rooms()
        looks = self._prepared and (self._look or any(self._more[shared] and rooms[shared] for shared in rooms))
        if not (looks or self._cycle.anything()):
            return
        now = time.monotonic()
        if not looks and now < self._note_at and self._cycle.patient():
            self._ticker.set("note", self._note_at)
            return
        self._note_at = now + NOTE_SECONDS
        self._look = not self._prepared
        for shared, room in rooms.items():
            self._more[shared] = not room  # what is not asked for may be there when there is room
        self._send(self._cycle.request(self._wants(rooms)))

    def _rooms(self) -> dict[bool, int]:
        """How many more to claim of what runs one at a time, and of what runs many at a time."""
        if self._draining is not None or self._suspects.alone:
            return {False: 0, True: 0}
        idle = sum(1 for member in self._crew.taking() if not member.handed)
        return {
            False: self._window.room(self._crew.prefetching(), idle),
            True: max(0, self._crew.sharing_room() - len(self._shared)) if self._roster.lanes(shared=True) else 0,
        }

    def _wants(self, rooms: dict[bool, int]) -> list[Want]:
        if self._draining is not None or self._suspects.alone or not self._prepared:
            return []
        self._turns += 1
        idle = not len(self._window) and any(not member.handed for member in self._crew.taking())
        beyond = self._settings.concurrency if len(self._window) else 0
        alone, shared = self._roster.lanes(shared=False), self._roster.lanes(shared=True)
        wants = [Want(alone, rooms[False], beyond, self._window.worst())] if alone else []
        if rooms[True]:
            wants.append(Want(shared, rooms[True]))
        suspect = Want(alone + shared, 1, suspect=True)
        if self._turns % (SUSPECT_TURN if idle else BUSY_SUSPECT_TURN) == 0:
            return [suspect, *wants]
        return [*wants, suspect] if idle else wants

    def _send(self, request: Any) -> None:
        def done(reply: Reply | None, error: BaseException | None) -> None:
            at = time.monotonic_ns() // 1000
            self._tell(lambda: self._answered(reply, error, at))

        # Who has nothing to watch can wait for the commit, and is back sooner by two changes of threads.
        (self._thread.post if any(member.handed for member in self._crew) else self._thread.do)(request, done)

    def _answered(self, reply: Reply | None, error: BaseException | None, at: int) -> None:
        if isinstance(error, StoreBusy | StoreFull):
            log.error("%s; trying again", error)
            self._ticker.set("retry", time.monotonic() + RETRY_SECONDS)
            return
        if error is not None:
            raise error
        assert reply is not None
        if not reply.done:
            raise GivenUp
        self._offset = reply.now - at
        self._cycle.answered(reply)
        now = time.monotonic()
        watched = self._suspects.noted(now)
        if watched is not None:
            self._ticker.set(watched, now)
        if self._suspects.until is not None:
            self._ticker.set("suspect", self._suspects.until)
        for held in reply.claims:
            self._more[self._take(held)] = True
        for asked in reply.asked:
            self._cancel(asked.key, asked.claim, asked.verdict, now)
        if reply.next is not None:
            wait = max(0, reply.next.at - reply.now) / 1e6
            self._ticker.set("due", now + min(wait, self._settings.poll))  # clocks are set, and machines sleep
        else:
            self._ticker.clear("due")
        if reply.lanes_version != self._roster.version:
            self._thread.post(lambda store: store.lanes(), self._new_lanes)
        self._make_way(reply.claims)

    def _new_lanes(self, lanes: Any, error: BaseException | None) -> None:
        def take() -> None:
            if error is None:
                self._roster.set_lanes(lanes)
                self._look = True

        self._tell(take)

    def _take(self, held: Held) -> bool:
        """A claim: from now on it is this node's; whether it is of those that run many at a time."""
        place, policy, isolation = self._roster.served(held.lane)
        if held.options is not None:
            policy = policy_of(policy, held.options)
        attempt = Attempt(held, place, policy, self._window.time_of(held.lane), isolation)
        if self._draining is not None or not self._roster.usable(place):
            self._cycle.hand_back(attempt)
        elif held.suspect:
            self._suspects.take(attempt)
            for waiting in self._take_waiting():  # others may be free to begin them
                self._cycle.hand_back(waiting)
        else:
            self._waiting(attempt).put(attempt)
        return isolation == "shared"

    def _waiting(self, attempt: Attempt) -> Window:
        """Where attempts of its kind wait."""
        return self._shared if attempt.isolation == "shared" else self._window

    def _take_waiting(self) -> list[Attempt]:
        return [*self._window.take_all(), *self._shared.take_all()]

    def _let_go(self, attempt: Attempt) -> None:
        """An attempt is another's by now: what still runs here of it is in vain."""
        self._suspects.ended(attempt)
        for member in self._crew:
            if member.remove(attempt.held.key, attempt.held.claim) is not None:
                member.runner.climb("kill", attempt.held.key, attempt.held.claim, "")

    # polling
    def _poll(self, now: float) -> None:
        self._ticker.set("poll", now + self._settings.poll)
        if len(self._window) and self._handed == self._handed_at_poll:
            for attempt in self._window.take_all():  # nothing was handed over for a whole poll: others may be free
                self._cycle.hand_back(attempt)
        self._handed_at_poll = self._handed
        self._thread.post(lambda store: store.dead(), self._polled)

    def _polled(self, dead: Any, error: BaseException | None) -> None:
        def take() -> None:
            if error is not None:
                if not isinstance(error, StoreBusy | StoreFull):
                    raise error
                return
            self._look = True  # the poll is the truth, whatever was missed before; an empty look is not committed
            for node in dead:
                if node.number not in self._rescuing and node.number != self._number:
                    self._rescuing.add(node.number)
                    threading.Thread(target=self._rescue, args=(node,), name="duly-rescue", daemon=True).start()

        self._tell(take)

    def _rescue(self, dead: NodeRow) -> None:
        """Give back what a dead node held; in a thread of its own, since processes are swept first."""
        try:
            ask(
                self._thread,
                rescue(dead, sweep=self._pool.sweep, policy=self._roster.policy, now=self._store_now),
            )
        except Exception:
            log.exception("what node %d held could not be given back; trying again", dead.number)
        self._tell(lambda: self._rescued(dead.number))

    def _rescued(self, number: int) -> None:
        self._rescuing.discard(number)
        self._look = True

    # the runners
    def _hear(self, event: RunnerEvent) -> None:
        match event:
            case Told():
                self._told(event)
            case Printed(runner, data, task, last):
                self._printed(runner.number, task, data, last=last)
            case Born(runner):
                self._born(runner)
            case Ended():
                self._ended(event)
            case NotBorn(runner, reason):
                self._crew.refused(reason, time.monotonic(), runner)
                self._fill(time.monotonic())
            case Prepared(problems, unshared):
                self._hear_prepared(problems, unshared)
            case Lost():
                self._lost()

    def _hear_prepared(self, problems: list[Any], unshared: list[str]) -> None:
        if problems and not self.ready.is_set():
            raise HandlerUnavailable(
                "\n".join(f"{self._roster.title(p.target)}: {_told_error(p.error)}" for p in problems)
            )
        for problem in problems:
            log.error("%s cannot be served: %s", self._roster.title(problem.target), _told_error(problem.error))
            self._roster.lose(problem.target)
        if problems:
            for attempt in self._take_waiting():
                self._return(attempt)
        if unshared:
            log.warning("importing %s: each runner imports it by itself, which is slower", " and ".join(unshared))
            self._restart_pool(preload=False)
            return
        self._prepared, self._backoff = True, 0.0
        self._fill(time.monotonic())
        self.ready.set()

    def _born(self, runner: Runner) -> None:
        member = self._crew.member(runner.number)
        if member is None:
            return
        if self._roster.around:
            self._ticker.set(member, time.monotonic() + SETUP_SECONDS)
        else:
            self._crew.ready(member)

    def _fit(self, member: Member, error: ErrorData | None) -> None:
        """What runs around its life has begun, or failed."""
        if error is None:
            self._ticker.clear(member)
            self._crew.ready(member)
            return
        self._unfit(member, _told_error(error))

    def _unfit(self, member: Member, reason: str) -> None:
        member.retiring = True
        self._crew.refused(f"runner_setup: {reason}", time.monotonic())
        self._fill(time.monotonic())

    def _fill(self, now: float) -> None:
        if self._draining is None and self._prepared:
            self._crew.fill(now)
        if self._crew.retry_at is not None:
            self._ticker.set("spawn", self._crew.retry_at)

    def _told(self, event: Told) -> None:  # the hot path: about 6 µs a message
        member = self._crew.member(event.runner.number)
        if member is None:
            return
        now = self._store_now()
        done = False
        for message in event.messages:
            if not isinstance(message, Done):
                if isinstance(message, Fit):
                    self._fit(member, message.error)
                    continue
                attempt = member.handed.get(message.key)
                if attempt is not None and attempt.held.claim == message.claim:
                    self._heard(member, attempt, message, now)
                elif isinstance(message, Ask):
                    self._inside.turn_away(member.runner, message)
                continue
            if self._inside.asked:
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
            self._refill(member)

    def _idle(self, member: Member) -> None:
        """A runner has answered all that it was handed."""
        self._crew.idle(member)
        if not member.shared and self._crew.surplus():
            self._retire(member)
        if member.retiring:
            self._ticker.set(member, time.monotonic() + TEARDOWN_SECONDS)

    def _heard(self, member: Member, attempt: Attempt, message: Said | Ask, now: int) -> None:
        try:
            if isinstance(message, Ask):
                self._asked(member, message)
                return
            self._notice_running(member, attempt)
            said(attempt, message, now)
        except ValueError:  # the user's code got hold of the channel
            member.runner.climb("kill", message.key, message.claim, "")
        else:
            self._cycle.note(attempt)

    def _asked(self, member: Member, ask: Ask) -> None:
        """A handler asks; where it waits for another task, that may be what was handed over behind it."""
        self._inside.hear(member.runner, ask)
        if self._inside.waits(member.runner.number) and not member.shared:
            member.overrun = True
            self._take_back(member)
            self._fill(time.monotonic())

    def _answer(self, attempt: Attempt, done: Done, now: int) -> None:
        (self._shared if attempt.isolation == "shared" else self._window).observe(attempt, done.nanoseconds / 1e9)
        if attempt.began_at is None:
            attempt.started_at = now - done.nanoseconds // 1000
            attempt.events.insert(0, ("start", attempt.started_at, None))
        offset = now - time.time_ns() // 1000 if done.until is not None else 0
        outcome = outcome_of_answer(attempt, done, offset)
        if done.children:
            outcome = self._inside.adopt(attempt, done.children, outcome)
        self._cycle.finish(attempt, outcome)
        self._suspects.ended(attempt)

    def _printed(self, runner: int, task: tuple[int, int] | None, data: bytes, *, last: bool) -> None:
        """Pass on what was printed, and keep its end with its attempt."""
        member = self._crew.member(runner)
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

    def _ended(self, event: Ended) -> None:
        """A runner is gone: whom it was running is charged, the others have not begun."""
        running = event.runner.running()
        self._print_rest(event.runner)
        self._inside.gone(event.runner.number)
        member = self._crew.ended(event.runner)
        self._ticker.clear(member) if member is not None else None
        if member is not None:
            killed = any(map(_is_asked, member.handed.values()))
            for attempt in list(member.handed.values()):
                if not member.began(attempt, running):
                    self._return(attempt)
                    continue
                self._notice(attempt, member.since(attempt, running))
                charged = _is_asked(attempt) if killed and member.shared else member.runs(attempt, running)
                ended = outcome_of_end(attempt, event.signal, event.exit_code)
                self._cycle.finish(attempt, ended if charged else Interrupted("the runner that it shared ended"))
                self._suspects.ended(attempt)
        self._fill(time.monotonic())

    def _lost(self) -> None:
        """The process that forks runners is gone, and they with it: as if the node was, but for what has not begun."""
        if not self.ready.is_set():
            raise HandlerUnavailable("the process that imports the handlers ended while it did so")
        log.error("the process that starts runners ended; starting another")
        for member in self._crew:
            running = member.runner.running()
            self._print_rest(member.runner)
            self._ticker.clear(member)
            for attempt in member.handed.values():
                if member.began(attempt, running):
                    self._notice(attempt, member.since(attempt, running))
                    self._cycle.lose(attempt)
                    self._suspects.ended(attempt)
                else:
                    self._return(attempt)
            self._inside.gone(member.runner.number)
            self._crew.ended(member.runner)
        suspect = self._suspects.give_up()
        if suspect is not None:
            self._cycle.hand_back(suspect)
        self._prepared = False
        self._restart_later()

    def _return(self, attempt: Attempt) -> None:
        """An attempt that has not begun waits again, or goes back if it is not to be begun here."""
        self._suspects.ended(attempt)
        held, usable = attempt.held, self._roster.usable(attempt.target)
        begun_here = usable and self._draining is None and not self._suspects.alone
        if held.verdict is not None or held.suspect or not begun_here:
            self._cycle.hand_back(attempt)
        else:
            self._waiting(attempt).put(attempt)

    # handing over
    def _dispatch(self, now: float) -> None:
        if self._suspects.alone:
            self._prepare_suspect(now)
            return
        while len(self._shared) and any(
            self._hand(self._shared, member, SHARED_MOST) for member in self._crew.sharing()
        ):
            pass
        while len(self._window) and self._hand_round():
            pass

    def _hand_round(self) -> bool:
        """Hand over the first that waits, and what fits with it; whether anything was."""
        kind = self._window.first().isolation
        taking = self._crew.taking(kind)
        share = -(-len(self._window) // len(taking)) if taking else 0
        return sum(self._hand(self._window, member, share) for member in taking) > 0  # each has its share

    def _refill(self, member: Member) -> None:
        if self._suspects.alone:
            return
        if len(self._window) and not member.shared:
            self._hand(self._window, member, HAND_MOST)
        if len(self._window) or len(self._shared):
            self._dispatch(time.monotonic())

    def _hand(self, window: Window, member: Member, most: int) -> bool:
        """Hand over the most urgent first, while they fit; whether any did."""
        if not member.takes:
            return False
        was_idle, handed = not member.handed, 0
        while handed < most and len(window) and self._crew.hand(member, window.first()):
            window.pop()
            handed += 1
        self._handed += handed
        if was_idle and handed:
            self._ticker.soonest(member, time.monotonic() + LOOK_SECONDS)
        return handed > 0

    def _make_way(self, claims: list[Held]) -> None:
        """What waits inside runners goes back into the window if something of a higher band came."""
        if not claims:
            return
        band = min(held.band for held in claims)
        for member in self._crew:
            if member.shared:
                continue
            if len(member.handed) > 1 and any(attempt.held.band > band for attempt in member.handed.values()):
                self._take_back(member)

    def _take_back(self, member: Member) -> None:
        for attempt in self._crew.take_back(member):
            self._return(attempt)

    def _retire(self, member: Member) -> None:
        for attempt in self._crew.retire(member):
            self._return(attempt)
        self._ticker.soonest(member, time.monotonic() + TEARDOWN_SECONDS)
        self._fill(time.monotonic())

    def _let_runners_end(self) -> None:
        """Give what runs around a runner's life the time to end, too."""
        if not self._roster.around:
            return
        until = time.monotonic() + TEARDOWN_SECONDS
        for member in self._crew:
            self._crew.retire(member)
        while len(self._crew) and time.monotonic() < until:
            self._epoll.poll(until - time.monotonic())
            for event in self._pool.events():
                self._hear(event)

    def _prepare_suspect(self, now: float) -> None:
        for member in self._crew:
            if len(member.handed) > 1:
                self._take_back(member)
        if self._cycle.under_way:  # the answer that tells of its note must be the next one
            return
        attempt = self._suspects.to_note()
        if attempt is not None:
            began(attempt, now, self._store_now())
            self._cycle.note(attempt)
        self._fill(now)

    # looking
    def _look_at(self, member: Member, now: float) -> None:
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
            return
        since = running[2] / 1e9
        if now - since < LOOK_SECONDS and attempt.stopping is None:
            self._ticker.set(member, since + LOOK_SECONDS)
            return
        self._notice(attempt, since)
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
            self._take_back(member)
        else:
            again = min(again, since + OVERRUN_SECONDS)
        self._ticker.set(member, again)

    def _look_at_shared(self, member: Member, now: float) -> None:
        """See which of many have begun for long enough to be told, and whose time is over."""
        again = now + SHARED_LOOK_SECONDS
        for attempt in list(member.handed.values()):
            if now - attempt.handed_at < SHARED_LOOK_SECONDS and attempt.stopping is None:
                continue
            self._notice(attempt, attempt.handed_at)
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

    def _end_late(self, member: Member) -> None:
        """What runs around its life has had its time, to begin or to end."""
        if member.retiring:
            log.warning("%s does not end by itself and is killed", member.runner)
        else:
            self._unfit(member, f"it had not begun after {SETUP_SECONDS:g} s")
        member.runner.climb("kill", 0, 0, "")

    def _notice(self, attempt: Attempt, since: float) -> None:
        if attempt.began_at is None:
            began(attempt, since, self._offset + round(since * 1e6))
            self._cycle.note(attempt)

    def _notice_running(self, member: Member, attempt: Attempt) -> None:
        """An attempt that tells something has begun, also if nobody has looked yet."""
        running = member.runner.running()
        if member.began(attempt, running):
            self._notice(attempt, member.since(attempt, running))

    def _stop_alone(self, member: Member, attempt: Attempt) -> None:
        """What is to be stopped must have nobody behind it that could be hit instead."""
        member.held_back = True
        for taken in self._crew.take_back(member):
            if taken is not attempt:
                self._return(taken)

    # stopping
    def _cancel(self, key: int, claim: int, verdict: int, now: float) -> None:
        """A task that this node holds is to end otherwise."""
        attempt = self._window.remove(key) or self._shared.remove(key) or self._suspects.give_up(key)
        if attempt is not None:
            attempt.held = msgspec.structs.replace(attempt.held, verdict=verdict)
            self._cycle.hand_back(attempt)
            return
        for member in self._crew:
            attempt = member.handed.get(key)
            if attempt is None or attempt.held.claim != claim or attempt.held.verdict is not None:
                continue
            attempt.held = msgspec.structs.replace(attempt.held, verdict=verdict)
            running = member.runner.running()
            if running is None or running[0] != key:
                self._take_back(member)
            if key in member.handed:
                attempt.stop().ask("cancel", now)
                self._ticker.set(member, now)

    def _stop_all(self, reason: Any, now: float) -> None:
        for member in self._crew:
            for attempt in member.handed.values():
                attempt.stop().ask(reason, now)
            self._ticker.set(member, now)

    def _drain(self, seconds: float) -> None:
        now = time.monotonic()
        running = sum(bool(member.handed) for member in self._crew)
        log.info("told to stop: %d running, given %g s to end", running, seconds)
        self._draining = now + seconds
        self._ticker.soonest("drain", self._draining)
        for attempt in self._take_waiting():
            self._cycle.hand_back(attempt)
        suspect = self._suspects.give_up()
        if suspect is not None:
            self._cycle.hand_back(suspect)
        for member in self._crew:
            self._take_back(member)


def _is_asked(attempt: Attempt) -> bool:
    return attempt.stopping is not None and attempt.stopping.reason is not None


def _timed_out(attempt: Attempt) -> bool:
    return attempt.stopping is not None and attempt.stopping.reason == "timeout"


def _told_error(error: Any) -> str:
    return str(error.traceback or f"{error.type}: {error.message}").rstrip()


def _call(function: Callable[[Any], Any]) -> Any:
    return (yield function)


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return None
