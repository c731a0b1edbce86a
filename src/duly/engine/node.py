"""A node: one running duly process that holds tasks and has its runners run them.

One thread, one loop: it waits on its bell, on the store's thread and on its runners, and does what falls due. In each
turn it hears what happened, hands over what fits, and, unless an exchange is under way, begins the next one.
"""

# long module: one loop, and all that it hears and that falls due in it

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from duly.core.action import Policy
from duly.core.estimate import RunTime
from duly.core.task import Held
from duly.engine.asking import ask, call
from duly.engine.attempt import Attempt
from duly.engine.clock import Clock
from duly.engine.console import Console
from duly.engine.crew import Member
from duly.engine.floor import Floor
from duly.engine.inside import Inside
from duly.engine.keeper import SECOND, Keeper, note
from duly.engine.lease import Lease, awake_or_not
from duly.engine.ledger import Ledger
from duly.engine.notify import Notifier
from duly.engine.parting import Parting
from duly.engine.rescue import rescue
from duly.engine.roster import Roster
from duly.engine.settings import Settings
from duly.engine.status import EVERY, Report
from duly.engine.storethread import StoreThread
from duly.engine.ticker import Ticker
from duly.engine.waker import Waker
from duly.engine.wants import Wants
from duly.errors import PASSING, StoreBusy, StoreError
from duly.ports import Bell, Lane, NodeRow, Pause, Pool, Reply, Request, Store

log = logging.getLogger("duly.node")

RETRY_SECONDS = 0.25

COMPLAINT_SECONDS = 30.0
"""How often it is said that the store cannot be reached or written."""

UNREAD = -1
"""The number of the lanes before they were read."""

NOTE_SECONDS = 0.01
"""Between two exchanges of which the second has nothing but progress to tell: many tasks' goes into one."""

COMPARE_POLLS = 30
"""Every so many polls what the store says that a node holds is compared with what it has."""

DOUBTS = 2
"""Comparisons after an answer that was made anew: what differs in both is a fault."""

MOST_HELD = 100_000

LAST_SECONDS = 1.0
"""How long the store is waited for when the time to drain is over and nothing runs any more."""

OVER_SECONDS = 0.1
"""How often it is looked whether nothing runs any more, once the time to drain is over."""


class GivenUp(Exception):
    """This node is no more, by others or by itself; whoever runs it starts anew.

    `away`: since the store could not be reached.
    """

    def __init__(self, message: str = "this node was given up", *, away: bool = False) -> None:
        super().__init__(message)
        self.away = away


class Node:
    """One life of a node, under one number. `run` returns when it has drained."""

    def __init__(  # long: all that a node consists of
        self,
        thread: StoreThread,
        make_pool: Callable[[str], Pool],
        make_bell: Callable[[], Bell],
        roster: Roster,
        settings: Settings,
        console: Console,
        notifier: Notifier | None = None,
    ) -> None:
        self._thread = thread
        self._roster = roster
        self._settings = settings
        self._notifier = notifier or Notifier({})
        self._unready = True
        self._parting = Parting(thread, self._tell)
        self.name = os.urandom(8).hex()
        self._number = 0
        self._bell = make_bell()
        self._waker = Waker()
        self._inbox: deque[Callable[[], None]] = deque()
        self._epoll = select.epoll()
        self._ticker: Ticker[str | Member] = Ticker()
        self._clock = Clock()
        inside = Inside(thread, self._tell, roster.actions, settings.most_bytes)
        self._floor = Floor(
            lambda: make_pool(self.name), roster, settings, console, inside, self._ticker, self._epoll, self._clock
        )
        self._cycle = self._floor.cycle
        self._ledger = Ledger()
        self._stored: list[Held] | None = None
        self._lease = Lease()
        self._every = settings.poll
        self._beat = self._reached = False
        self._inquiries: set[Callable[[Any], None]] = set()
        self._polls = self._doubts = 0
        self._look = True
        self._lanes_version = UNREAD
        self._wants = Wants(self._floor, roster, settings.concurrency)
        self._note_at = self._complain_at = 0.0
        self._draining = False
        self._over_since: float | None = None
        self._end_by = inf
        self._rescuing: set[int] = set()
        self._keeper = Keeper(settings.keep, self._clock.now)
        self._report = Report(settings)
        self.ready = self._floor.ready

    # from other threads, and from signal handlers
    def drain(self, timeout: float | None = None) -> None:
        """Claim no more, give what runs so many seconds, then stop it; `run` returns when all is told."""
        seconds = self._settings.drain_timeout if timeout is None else timeout
        self._tell(lambda: self._drain(seconds))

    def _tell(self, what: Callable[[], None]) -> None:
        self._inbox.append(what)
        self._waker.wake()

    # life
    def run(self, after: GivenUp | None = None) -> None:
        """Work until drained; all that ran here is gone then. Raises `HandlerUnavailable`, `StoreError`, `GivenUp`.

        One that begins `after` another waits for the store for as long as that takes.
        """
        try:
            if after is not None:
                self._begin_after(after)
            else:
                self._begin()
            while not self._over():
                self._turn()
            self._ticker.clear("drain")  # from now on that is another one's
            if not self._parting.done:
                self._parting.leave(self._number)
            while not self._parting.done:
                self._turn()
            self._let_runners_end()
        except BaseException as error:
            self._floor.pool.close()
            self._parting.give_up(self._number, told=not isinstance(error, GivenUp | StoreError))
            if not isinstance(error, GivenUp):  # then another follows in this process
                self._report.remove()
            raise
        else:
            self._report.remove()
        finally:
            self.close()

    def _let_runners_end(self) -> None:
        """Give what runs around the runners' lives the time to end, too; another drain cuts it short."""
        self._end_by = min(self._end_by, time.monotonic() + self._floor.let_runners_end())
        self._ticker.set("end", self._end_by)
        while len(self._floor.crew) and time.monotonic() < self._end_by:
            self._turn()

    def forgo(self) -> None:
        """End without having run, and with it the worker, which the node before has left to this one."""
        self._report.remove()
        self.close()

    def close(self) -> None:
        """Let go of everything."""
        self._floor.pool.close()
        self._bell.close()
        self._waker.close()
        self._epoll.close()

    def _begin_after(self, other: GivenUp) -> None:
        """Wait until the store can be reached, or this node is told to end; then begin.

        What fails of that is not done again by this node, whose name may be stored by now.
        """
        self._epoll.register(self._waker, select.EPOLLIN)
        self._tell_well(time.monotonic())
        self._tell_status(time.monotonic())
        self._ticker.set("reach", time.monotonic())
        while not self._reached and not self._draining:
            self._turn()
        self._epoll.unregister(self._waker)
        if not self._reached:
            self._parting.begun = self._parting.done = True
            return
        try:
            self._begin(away=other.away)
        except PASSING as error:
            raise GivenUp(str(error), away=other.away) from error

    def _heard(self, _dead: Any, error: BaseException | None) -> None:
        """Whether the store could be reached is known."""

        def take() -> None:
            self._reached = error is None
            if error is not None:
                self._complain(error)
                self._ticker.set("reach", time.monotonic() + RETRY_SECONDS)

        self._tell(take)

    def _begin(self, *, away: bool = False) -> None:
        self._tell_status(time.monotonic())
        thread, label = self._thread, self._settings.label
        self._clock.follow(ask(thread, call(lambda store: store.now)))
        self._lease.begin(ask(thread, call(lambda store: store.lease)), away=away)
        self._every = self._lease.beat(self._settings.poll)
        self._number = ask(thread, call(lambda store: store.enlist(self.name, self._bell.address, label)))
        self._cycle.node = self._number
        self._roster.set_lanes(*ask(thread, call(self._read_lanes)))
        ask(thread, call(lambda store: note(store, self._roster.keeps())))
        if self._lease.seconds is None:  # else it has to be heard meanwhile, and the first poll comes at once
            for dead in ask(thread, call(lambda store: store.dead())):  # by the policies of their lanes
                self._rescue(dead)
        self._floor.start(preload=True)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._epoll.register(self._waker, select.EPOLLIN)
        self._ticker.set("poll", time.monotonic() + (self._every if self._lease.seconds is None else 0.0))
        self._ticker.set("keep", time.monotonic() + SECOND)
        self._tell_well(time.monotonic())
        self._tell_status(time.monotonic())

    def _over(self) -> bool:
        if self._parting.done:
            return True
        if not self._draining or self._cycle.under_way or self._cycle.anything() or self._rescuing:
            return False
        return self._floor.over()

    def _turn(self) -> None:
        now = time.monotonic()
        ready = {fd for fd, _ in self._epoll.poll(self._ticker.wait(now, self._every))}
        if self._waker.fileno() in ready:
            self._waker.clear()
        if self._bell.fileno() in ready:
            self._bell.silence()
            self._look = True
        while self._inbox:
            self._inbox.popleft()()
        left = self._lease.turned()
        if left <= 0 and not self._parting.begun:
            why = self._report.trouble or "no answer came in time"
            raise GivenUp(_LAPSED.format(self._lease.seconds, why), away=self._lease.away())
        refilled = ready == {self._floor.pool.fileno()}
        if self._floor.pool.fileno() in ready:
            for event in self._floor.pool.events():
                refilled = self._floor.hear(event) and refilled
            if self._unready and self._floor.prepared:
                self._unready = False
                self._notifier.ready()
        now = time.monotonic()
        due = self._ticker.due(now)
        for what in due:
            self._do(what, now)
        if due or not refilled:
            self._floor.dispatch(now)
        self._exchange()

    def _do(self, what: str | Member, now: float) -> None:
        """Do what has fallen due."""
        if isinstance(what, Member):
            self._floor.look_at(what, now)
            return
        match what:
            case "poll":
                self._poll(now)
            case "due":
                self._look = True
            case "note":
                pass  # it is time for what was told meanwhile, as after any event
            case "end":
                pass  # no more of what runs around the runners' lives
            case "lease":
                pass  # it may be over: that is seen in each turn
            case "reach":
                self._thread.post(lambda store: store.dead(), self._heard)
            case "spawn":
                self._floor.fill(now)
            case "pool":
                self._floor.restart(preload=True)
            case "drain":
                self._stop(now)
            case "well":
                self._tell_well(now)
            case "gone" if not self._parting.done:
                self._await_last_words(now)
            case "suspect":
                attempt = self._floor.suspects.cleared(now)
                if attempt is not None:
                    self._cycle.note(attempt, cleared=True)
            case "keep":
                if not self._draining:
                    self._thread.post(self._keeper.step, self._kept)
            case "status":
                self._tell_status(now)
            case "retry" if not self._parting.begun:
                self._beat = self._lease.seconds is not None  # what it renews counts from when this was sent first
                self._send(self._cycle.again())

    def _drain(self, seconds: float) -> None:
        self._draining = True
        self._notifier.stopping()
        self._ticker.soonest("drain", time.monotonic() + seconds)
        log.info("told to stop: %d running, given %g s to end", self._floor.close_down(), seconds)
        self._notifier.status(self._floor.status())

    def _stop(self, now: float) -> None:
        """The time to drain is over, or that for what runs around the runners' lives."""
        if self._parting.begun:
            self._end_by = now
            return
        self._floor.stop_all("drain", now)
        self._await_last_words(now)

    def _await_last_words(self, now: float) -> None:
        """Leave though the store was not told, when nothing has run for a while."""
        if self._over_since is None and self._floor.over():
            self._over_since = now
        if self._over_since is None:
            self._ticker.set("gone", now + OVER_SECONDS)
        elif now < self._over_since + LAST_SECONDS:
            self._ticker.set("gone", self._over_since + LAST_SECONDS)
        else:
            self._parting.leave_untold(self._number)

    def _tell_well(self, now: float) -> None:
        """Tell the service manager, as often as it wants to hear it, that this loop goes round."""
        if self._notifier.interval is not None:
            self._notifier.well()
            self._ticker.set("well", now + self._notifier.interval)

    # the store
    def _exchange(self) -> None:
        """Begin the next exchange, if none is under way and there is something to say or to look for."""
        if self._cycle.under_way or self._parting.begun or not self._number:
            return
        room = self._floor.room()
        looks = self._floor.prepared and (self._look or self._wants.more(room))
        if not (looks or self._beat or self._cycle.anything()):
            return
        now = time.monotonic()
        if not (looks or self._beat) and now < self._note_at and self._cycle.patient():
            self._ticker.set("note", self._note_at)
            return
        self._note_at = now + NOTE_SECONDS
        self._beat, self._look = False, not self._floor.prepared
        self._lease.sent()
        self._send(self._cycle.request([] if self._draining else self._wants.next(room)))

    def _send(self, request: Any) -> None:
        def done(reply: Reply | None, error: BaseException | None) -> None:
            self._tell(lambda: self._answered(reply, error))

        # Who has nothing to watch can wait for the commit, and is back sooner by two changes of threads. Of a server
        # nobody knows how long it takes.
        watches = self._lease.seconds is not None or any(member.handed for member in self._floor.crew)
        (self._thread.post if watches else self._thread.do)(request, done)

    def _answered(self, reply: Reply | None, error: BaseException | None) -> None:
        if self._parting.begun:
            return
        if error is not None:
            self._unanswered(error)
            return
        assert reply is not None
        if not reply.done:
            raise GivenUp(away=self._lease.away())
        self._cycle.answered(reply)
        now = self._report.exchanged_at = time.monotonic()
        self._report.trouble = ""
        self._lease.renewed()
        self._ticker.set("lease", now + self._lease.turned())
        if reply.anew:
            self._doubts = DOUBTS
            self._inquire(lambda store: store.held(self._number, MOST_HELD), self._compare)
        if reply.lanes_version != self._lanes_version:
            self._lanes_version = reply.lanes_version
            self._floor.uncertain = True
            self._thread.post(self._read_lanes, self._new_lanes)
        watched = None if self._floor.uncertain else self._floor.suspects.noted(now)
        if watched is not None:
            self._ticker.set(watched, now)
        if self._floor.suspects.until is not None:
            self._ticker.set("suspect", self._floor.suspects.until)
        self._wants.claimed({self._floor.take(held) for held in reply.claims})
        for asked in reply.asked:
            self._floor.cancel(asked.key, asked.claim, asked.verdict, now)
        if reply.next is not None:
            wait = max(0, reply.next.at - reply.now) / 1e6
            self._ticker.set("due", now + min(wait, self._every))  # clocks are set, and machines sleep
        else:
            self._ticker.clear("due")
        self._floor.make_way(reply.claims)
        if self._stored is not None:
            stored, self._stored = self._stored, None
            self._compare(stored)

    def _unanswered(self, error: BaseException) -> None:
        """The exchange could not be carried out; it is tried again soon."""
        self._complain(error)
        if isinstance(error, StoreBusy) and self._lease.seconds is not None:
            self._live_on()
        else:
            self._ticker.set("retry", time.monotonic() + RETRY_SECONDS)

    def _live_on(self) -> None:
        """Be heard without the exchange, which waits for what others hold for as long as they like; then try it again.

        It says nothing, and so is not counted: it has the same number. Not as a request, since what others submit may
        be put into one with that, and would be counted.
        """
        beat, sent_at = Request(node=self._number, number=self._cycle.again().number), awake_or_not()

        def done(reply: Reply | None, _error: BaseException | None) -> None:
            self._tell(lambda: self._lived_on(sent_at, reply))

        self._thread.post(lambda store: store.exchange(beat), done)

    def _lived_on(self, sent_at: float, reply: Reply | None) -> None:
        if self._parting.begun:
            return
        now = time.monotonic()
        self._ticker.set("retry", now + RETRY_SECONDS)
        if reply is not None and not reply.done:
            raise GivenUp(away=self._lease.away())
        if reply is not None and not reply.anew:  # else the exchange was carried out, and this renews nothing
            self._lease.renewed_by(sent_at)
            self._ticker.set("lease", now + self._lease.turned())

    def _complain(self, error: BaseException) -> None:
        """Say now and then that the store cannot be reached or written; raise what does not pass by itself."""
        if not isinstance(error, PASSING):
            raise error
        now, self._report.trouble = time.monotonic(), str(error)
        if now >= self._complain_at:
            self._complain_at = now + COMPLAINT_SECONDS
            log.error("%s; trying again, four times a second", error)

    def _read_lanes(self, store: Store) -> tuple[list[Lane], list[Pause]]:
        """Read what there is to claim from, at the start with what is served here."""
        pauses = store.pauses()
        return store.lanes(self._roster.declared() if self._lanes_version < 0 else ()), pauses

    def _new_lanes(self, read: Any, error: BaseException | None) -> None:
        def take() -> None:
            if error is not None:
                self._lanes_version = UNREAD
                self._complain(error)
                return
            self._look = True
            self._roster.set_lanes(*read)
            self._floor.uncertain = False
            self._floor.heed_pauses()

        self._tell(take)

    def _tell_status(self, now: float) -> None:
        if self._report.wanted:
            self._ticker.set("status", now + EVERY)
            running, held = self._floor.at_work(), len(self._floor.attempts())
            self._report.write(now, node=self._number, running=running, held=held, draining=self._draining)

    # polling
    def _poll(self, now: float) -> None:
        self._ticker.set("poll", now + self._every)
        self._floor.hand_back_idle()
        self._floor.pool.look(now)
        self._notifier.status(self._floor.status())
        self._bell.silence()
        if self._parting.begun:
            return
        self._look = True  # the poll is the truth, whatever was missed before; an empty look need not be committed
        self._beat = self._lease.seconds is not None
        self._polls += 1
        self._inquire(_dead, self._give_back)
        if self._doubts or self._polls % COMPARE_POLLS == 0:
            self._inquire(lambda store: store.held(self._number, MOST_HELD), self._compare)

    def _inquire(self, job: Callable[[Store], Any], take: Callable[[Any], None]) -> None:
        """Ask the store for what `take` is told in this loop, once at a time: while it is away, each takes long."""
        if take in self._inquiries:
            return
        self._inquiries.add(take)

        def answered(result: Any, error: BaseException | None) -> None:
            self._inquiries.discard(take)
            if error is None:
                take(result)
            else:
                self._complain(error)

        self._thread.post(job, lambda result, error: self._tell(lambda: answered(result, error)))

    def _compare(self, stored: list[Held]) -> None:
        """What the store says that this node holds is to be what it has.

        It waits for the answer to an exchange that is under way: what that has claimed is held, and not here yet.
        """
        if self._cycle.under_way:
            self._stored = stored
            return
        self._doubts = max(0, self._doubts - 1)
        attempts = {(attempt.held.key, attempt.held.claim): attempt for attempt in self._floor.attempts()}
        forgotten, lost = self._ledger.compare(stored, set(attempts), self._cycle.rights())
        for held in forgotten:
            log.error("task %s is this node's by the store, and not here: given back", held.id)
            self._cycle.hand_back(Attempt(held, 0, Policy(), RunTime()))
        for right in lost:
            log.error("task %s is another's by the store, and still here: stopped", attempts[right].held.id)
            self._floor.drop(attempts[right])

    def _give_back(self, dead: list[NodeRow]) -> None:
        """Give back what dead nodes held."""
        for node in dead:
            if node.number not in self._rescuing and node.number != self._number:
                self._rescuing.add(node.number)
                threading.Thread(target=self._rescue, args=(node,), name="duly-rescue", daemon=True).start()

    def _kept(self, seconds: Any, error: BaseException | None) -> None:
        """A step of keeping the store in order is done; the next may be after so many seconds."""

        def take() -> None:
            if error is not None:
                raise error
            self._ticker.set("keep", time.monotonic() + seconds)

        self._tell(take)

    def _rescue(self, dead: NodeRow) -> None:
        """Give back what a dead node held; in a thread of its own, since processes are swept first."""
        sweep, policy, now = self._floor.pool.sweep, self._roster.policy, self._clock.now
        try:
            ask(self._thread, rescue(dead, sweep=sweep, policy=policy, now=now, blamed=self._lease.blames()))
        except PASSING as error:
            log.warning("what node %d held could not be given back: %s; trying again", dead.number, error)
        except Exception:
            log.exception("what node %d held could not be given back; trying again", dead.number)
        self._tell(lambda: self._rescued(dead.number))

    def _rescued(self, number: int) -> None:
        self._rescuing.discard(number)
        self._look = True


def _dead(store: Store) -> list[NodeRow]:
    store.check_age()  # a worker may outlive what it knows of the store
    return store.dead()


_LAPSED = (
    "this node was given up by itself: the store was not reached for nearly {:g} s, after which others take what it "
    "held; all that ran here was stopped ({})"
)
