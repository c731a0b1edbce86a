"""Whose turn it is to use an App's store, and the thread that uses it for all others.

Callers put jobs into a queue and are told when they are done, after the commit. What gathered while the last commit
was under way becomes one transaction: batches form by themselves, no timer adds delay. A caller that finds the store
free does its own job itself, which spares it two changes of threads; never other people's: a Ctrl-C would strand them.
"""

# long module: one thread, all who call it, what it does for them, and how it comes to rest

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from duly.engine import forks
from duly.engine.waits import Done, Wait, Waits, glances
from duly.engine.waker import Waker
from duly.errors import PASSING, StoreAway, StoreBusy, StoreError, StoreUnavailable
from duly.ports import PATIENCE, Bell, Reply, Request, Ripples, Store

Post: TypeAlias = Callable[[Any, Done], None]

Call: TypeAlias = tuple[Callable[[Any], Any], Done, float]
"""What is to be called, who is told, and when it was posted."""

Told: TypeAlias = tuple[Done, Reply | None, BaseException | None]
"""Who asked for something, and what is to be told."""

CLOSED = "this App was closed"
FORKED = (
    "this process was forked while its parent was busy with the store and did not let go of it, so it cannot be opened "
    "safely here; fork earlier, or start another program instead"
)
FORK_SECONDS = 11.0
"""How long a fork waits for who uses the store; a write gives up after 10 s."""

MOST_TOGETHER = 5_000
"""Tasks of several callers that are stored in one transaction: nobody else writes meanwhile, for some 15 ms."""

LITTLE_PATIENCE = 0.05
"""Seconds that a caller who does its own job waits for other processes, before it leaves that to the thread."""

BUSY_IN_A_ROW = 3
"""So many who wait for what others hold, one after another: by then it is a table or a file that all wait for."""

MOST_BUSY = 10
"""So many at all of those who shared one transaction: each is waited for, and a node is not heard meanwhile."""

RIPPLE_SECONDS = 0.005
"""How often ripples are followed while somebody waits: a busy store makes a thousand a second."""

LOOK_SECONDS = 0.02
"""How often the store is asked for changes while somebody waits and no ripple can be felt."""

KEPT_SECONDS = 10.0
"""How long ripples are kept for who waits next. To a server, who hears and does not listen is a burden."""

SHORT_SECONDS = 0.001
"""Telling those who wait may take so long at any time; if it takes longer, the thread rests from it for as long."""


class StoreThread:
    """A store and its thread; begun at the first job, ended by `close`. A forked process has a thread of its own."""

    def __init__(self, make_store: Callable[[], Store], make_bell: Callable[[], Bell], poll: float) -> None:
        self._make_store = make_store
        self._make_bell = make_bell
        self._poll = poll
        self._closed = False
        self._in_use = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[tuple[Request | Callable[[Store], Any], Done, float]] = deque()  # and when it was posted
        self._away = False
        self._watched = Waits()
        self._ripples: Ripples | None = None
        self._mute = False  # it was tried, and none can be felt
        self._lock = threading.Lock()
        self._using = threading.Lock()
        self._rests = False
        self._hopeless: BaseException | None = None
        self._busy = False  # a hint alone: whoever is wrong about it waits, or is told a little later
        self._sleeps = True  # or is about to look whether there are jobs
        self._store: Store | None = None
        self._waker: Waker
        self._thread: threading.Thread | None = None  # while it is open
        self._own: threading.Thread | None = None
        self._version = -1
        self._untold: deque[Told] = deque()  # the thread's own
        self._tells_later = False
        self.letters: MutableMapping[Any, Any] = WeakKeyDictionary()
        self._changes = 0  # that were noticed: own writes, rings, and others' writes while somebody waits
        self._told = 0  # how many changes there were when who waits was told
        self._look_at = self._tell_at = self._rest = self._kept_until = 0.0
        self.address = ""

    def before_fork(self) -> None:
        """Have the store closed and used by nobody until `after_fork`, unless somebody does not let go of it."""
        self._rests = self._using.acquire(timeout=FORK_SECONDS)
        self._in_use = not self._rests
        if self._rests and self._store is not None:
            self._store.let_go()

    def after_fork(self) -> None:
        """Let it be used again; a child begins anew when it does."""
        self._in_use = self._in_use and self._pid != os.getpid()
        if self._rests:
            self._rests = False
            self._using.release()

    # callers
    def open(self) -> None:
        """Open the store, once; raises what that raises."""
        if self._pid != os.getpid():  # forked: neither the thread nor its right to the connection came along
            self._begin()
        if self._thread is None:
            with self._lock:
                self._open()

    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailable(CLOSED)
        if self._in_use:
            raise StoreUnavailable(FORKED)
        if self._thread is not None:
            return
        forks.care_for(self)
        self._waker = Waker()
        opened: deque[BaseException | None] = deque()
        ready = threading.Event()
        thread = threading.Thread(target=self._run, args=(opened, ready), name="duly-store", daemon=True)
        thread.start()
        ready.wait()
        error = opened.pop()
        if error is not None:
            thread.join()
            self._waker.close()
            raise error
        self._thread = thread

    def post(self, job: Request | Callable[[Store], Any], done: Done) -> None:
        """Have a request exchanged or a function called with the store; `done` is told."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:  # what is posted before a close is done by it
            self._open()
            self._jobs.append((job, done, time.monotonic()))
        if self._sleeps:  # who is awake will look; waking it hands the interpreter over
            self._waker.wake()

    def do(self, job: Request | Callable[[Store], Any], done: Done) -> None:
        """The same in the caller's thread if the store is free of other users and other processes' writes."""
        self.open()
        if self._busy or self._jobs:
            self.post(job, done)
            return
        with self._using:
            store = self._store
            if store is None:
                raise StoreUnavailable(CLOSED)
            self._busy = True
            try:
                store.patience = LITTLE_PATIENCE
                self._carry_out(store, job, self._or_post(job, done))
            finally:
                store.patience = PATIENCE
                self._busy = False
        if self._watched and isinstance(job, Request):
            self._waker.wake()  # somebody may have waited for this

    def _or_post(self, job: Request | Callable[[Store], Any], done: Done) -> Done:
        """What is told of a job that the caller does: no caller waits long in the store, where nothing reaches it."""

        def told(result: Any, error: BaseException | None) -> None:
            if isinstance(error, StoreBusy | StoreAway):
                self._away = isinstance(error, StoreAway)
                try:
                    self.post(job, done)
                    return
                except StoreUnavailable as closed:
                    error = closed
            done(result, error)

        return told

    def watch(self, seen: Mapping[str, int], done: Done, post: Post) -> Callable[[], None]:
        """Tell `done` how one of these tasks stands as soon as it has an event after that seen, or has ended.

        A task that there is not is told at once. `post` is this thread's `post` or `do`. What is returned gives up:
        `done` is then told no more.
        """
        wait = Wait(seen, done)

        def begin(store: Store) -> None:
            try:
                found = glances(store, wait.seen)
            except PASSING as error:
                found, self._away = None, isinstance(error, StoreAway)
            if found and any(wait.told(glance) for glance in found):
                return
            if self._hopeless is not None:
                raise self._hopeless
            if found is None:
                self._watched.add_unseen(wait)
                self._told -= 1  # it is looked soon
            else:
                self._watched.add(wait, found)
            if self._sleeps:
                self._waker.wake()

        post(begin, lambda _, error: done(None, error) if error is not None else None)
        return lambda: self._post_if_open(lambda _: self._watched.forget(wait))

    def hopeless(self, error: BaseException | None) -> None:
        """Have whoever waits, now or later, be told this error; None takes that back."""
        self._hopeless = error
        if error is not None:
            self._post_if_open(lambda _: self._watched.fail(error))

    def _post_if_open(self, job: Callable[[Store], Any]) -> None:
        with suppress(StoreUnavailable):
            self.post(job, _ignore)

    def close(self) -> None:
        """Finish what was posted, close the store and end the thread; safe to call twice."""
        if self._pid != os.getpid():
            self._begin()
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waker.wake()
            thread.join()
            self._waker.close()

    # the thread
    def _run(self, opened: deque[BaseException | None], ready: threading.Event) -> None:
        self._own = threading.current_thread()
        try:
            with self._using:  # a fork meanwhile would leave its child locks that nobody opens
                store = self._make_store()
                store.open()
                bell = self._make_bell()
                self.address = bell.address
                self._tells_later = store.meanwhile(self._meanwhile)
                self._store = store
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            opened.append(error)
            ready.set()
            return
        opened.append(None)
        ready.set()
        try:
            self._loop(store, bell)
        finally:
            bell.close()
            with self._using:
                self._store = None
                store.close()
                if self._ripples is not None:
                    self._ripples.close()
            self._watched.fail(StoreUnavailable(CLOSED))

    def _loop(self, store: Store, bell: Bell) -> None:
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(bell, select.POLLIN)
        while True:
            rung, ready = False, set[int]()
            if not self._jobs or self._watched:  # else straight on: each of these calls hands the interpreter over
                self._tell_done()
                self._sleeps = True  # from here on who adds to what is looked at has to wake it
                now = time.monotonic()
                wait = self._wait(store, poll, now) if self._watched else self._wait_for_jobs(poll, now)
                ready = {fd for fd, _ in poll.poll(0 if self._jobs else wait)}
                self._sleeps = False
                if self._waker.fileno() in ready:
                    self._waker.clear()
                rung = bell.fileno() in ready
                if rung:
                    bell.silence()
            with self._using:
                self._busy = True
                self._work(store)
                self._changes += rung
                if self._watched:
                    store.patience = LITTLE_PATIENCE if self._away else PATIENCE
                    self._watch(store, bell, ready)
                else:
                    self._told = self._changes
                self._busy = False
            if self._closed and not self._jobs:
                return

    def _wait(self, store: Store, poll: select.poll, now: float) -> float:
        """How many milliseconds to wait at most, while somebody waits; ripples are listened to, or rested from."""
        if self._ripples is None and not self._mute:
            with self._using:  # it may import, and a fork must not come between
                self._ripples = store.ripples()
            self._mute = self._ripples is None
            self._look_at = min(self._look_at, now + LOOK_SECONDS)  # what others wrote before is not felt
        if self._ripples is not None:
            self._kept_until = now + KEPT_SECONDS
            poll.register(self._ripples, select.POLLIN if now >= self._rest else 0)
        due = self._rest if now < self._rest else self._look_at
        if self._changes != self._told:
            due = self._tell_at
        return max(0.0, due - now) * 1000

    def _wait_for_jobs(self, poll: select.poll, now: float) -> float | None:
        """The same while nobody waits: nobody silences ripples then, so they are not listened to."""
        if self._ripples is None:
            return None
        with suppress(KeyError):
            poll.unregister(self._ripples)
        if now < self._kept_until:
            return (self._kept_until - now) * 1000
        with self._using:
            self._ripples.close()
        self._ripples = None
        return None

    def _watch(self, store: Store, bell: Bell, ready: set[int]) -> None:
        """Look for what others have written, if that may be, and tell those who wait."""
        now = time.monotonic()
        if self._ripples is not None and self._ripples.fileno() in ready:
            self._ripples.silence()
            self._rest = now + RIPPLE_SECONDS
            self._look_at = now
        if now >= self._look_at:
            bell.silence()
            if self._ripples is not None:
                self._ripples.silence()
            looked = self._look(store)
            self._look_at = now + (LOOK_SECONDS if self._ripples is None or not looked else self._poll)
        if self._changes != self._told and now >= self._tell_at:
            told = self._tell(store)
            end = time.monotonic()
            self._tell_at = end if end - now < SHORT_SECONDS else 2 * end - now
            if told:
                self._told = self._changes
            else:
                self._tell_at = end + LOOK_SECONDS

    def _work(self, store: Store) -> None:
        """Do all jobs there are, requests first.

        What is requested during a call comes before the next call: a node's lease may last for one slow call, not for
        many. Calls that come meanwhile are left for the next turn, since the thread has more to do in each.
        """
        calls, later = self._exchange_all(store), list[Call]()
        for call, done, posted_at in calls:
            self._tell_done()
            self._be_patient(store, posted_at)
            self._carry_out(store, call, done)
            if self._jobs:
                later += self._exchange_all(store)
        self._jobs.extendleft(reversed(later))

    def _exchange_all(self, store: Store) -> list[Call]:
        """Take all jobs there are, and do the requests, together in one transaction; returns the calls."""
        submits, since = 0, 0.0
        requests: list[tuple[Request, Done]] = []
        calls: list[Call] = []
        while self._jobs:
            job, done, posted_at = self._jobs.popleft()
            if isinstance(job, Request):
                submits += len(job.submits)
                two_holders = _holds(job) and any(_holds(request) for request, _ in requests)
                choosy = _chooses(job) or any(_chooses(request) for request, _ in requests[:1])
                if requests and (two_holders or choosy or submits > MOST_TOGETHER):  # a transaction each
                    self._be_patient(store, since)
                    self._exchange_and_tell(store, requests)
                    requests, submits = [], len(job.submits)
                since = since if requests else posted_at
                requests.append((job, done))
            else:
                calls.append((job, done, posted_at))
        if requests:
            self._be_patient(store, since)
            self._exchange_and_tell(store, requests)
        return calls

    def _be_patient(self, store: Store, posted_at: float) -> None:
        """Have the store wait for as long as somebody should for what was posted then.

        Others may take it as long as they like from when its turn comes. But a store that is away is so for all of
        them: who has waited for that while others were tried is not to wait as long once more.
        """
        left = posted_at + PATIENCE - time.monotonic() if self._away else PATIENCE
        store.patience = max(LITTLE_PATIENCE, left)

    def _carry_out(self, store: Store, job: Request | Callable[[Store], Any], done: Done) -> None:
        if isinstance(job, Request):
            for told, reply, error in self._exchange(store, [(job, done)]):
                told(reply, error)
            return
        try:
            result = job(store)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            self._away = self._away or isinstance(error, StoreAway)
            done(None, error)
        else:
            done(result, None)

    def _exchange(self, store: Store, requests: list[tuple[Request, Done]]) -> Iterator[Told]:
        """Do requests in one transaction, or in more where one of them is at fault; yields what is to be told."""
        reply: Reply | None = None
        error: BaseException | None = None
        try:
            reply = store.exchange(merged([request for request, _ in requests]))
        except BaseException as raised:  # noqa: BLE001 - it is raised where it was asked for
            error = raised
        self._away = isinstance(error, StoreAway)
        self._changes += 1
        if isinstance(error, StoreBusy) and len(requests) > 1:
            yield from self._exchange_apart(store, requests, error)
            return
        if error is not None and not isinstance(error, StoreError) and len(requests) > 1:
            for request, done in requests:  # the fault of what one of them asked for
                yield from self._exchange(store, [(request, done)])
            return
        if reply is not None and not reply.done:  # the node's fault alone: nothing was done of what others asked
            others = [(request, done) for request, done in requests if request.node is None]
            requests = [(request, done) for request, done in requests if request.node is not None]
            if others:
                yield from self._exchange(store, others)
        for _, done in requests:
            yield done, reply, error

    def _exchange_apart(
        self, store: Store, requests: list[tuple[Request, Done]], error: BaseException
    ) -> Iterator[Told]:
        """Do requests one by one, a holder's first: it may be one of them alone that waits for what others hold."""
        patience, store.patience = store.patience, LITTLE_PATIENCE
        in_a_row = busy = 0
        try:
            for request, done in sorted(requests, key=lambda one: not _holds(one[0])):
                if self._away or in_a_row == BUSY_IN_A_ROW or busy == MOST_BUSY:
                    yield done, None, error
                    continue
                (told,) = self._exchange(store, [(request, done)])
                if isinstance(told[2], PASSING):
                    error, in_a_row, busy = told[2], in_a_row + 1, busy + 1
                else:
                    in_a_row = 0
                yield told
        finally:
            store.patience = patience

    def _exchange_and_tell(self, store: Store, requests: list[tuple[Request, Done]]) -> None:
        """Exchange in the store's thread, and tell who is done: now or soon.

        Each is another thread, which wakes and wants the interpreter. If the next request is there, they wake when it
        is on its way to a server, and nothing is to be done but to wait: 16 threads submit a fifth more by that.
        """
        for told in self._exchange(store, requests):
            self._untold.append(told)
        if not self._tells_later or not self._jobs:
            self._tell_done()

    def _meanwhile(self) -> None:
        """The server is waited for. A caller that does so for its own job tells nobody else: Ctrl-C may come."""
        if threading.current_thread() is self._own:
            self._tell_done()

    def _tell_done(self) -> None:
        while self._untold:
            done, reply, error = self._untold.popleft()
            done(reply, error)

    def _look(self, store: Store) -> bool:
        """Notice what others have written; False if that could not be done just now."""
        try:
            version = store.version()
        except PASSING:
            return False
        except Exception as error:  # noqa: BLE001 - it is raised where it was waited
            self._watched.fail(error)
            return True
        self._changes += version != self._version
        self._version = version
        return True

    def _tell(self, store: Store) -> bool:
        """Tell those who wait; False if that could not be done just now."""
        try:
            self._watched.tell(store)
        except PASSING as error:
            self._away = isinstance(error, StoreAway)
            return False
        except Exception as error:  # noqa: BLE001 - it is raised where it was waited
            self._watched.fail(error)
        return True


def _holds(request: Request) -> bool:
    """Whether it speaks for a holder of claims: a node, or who rescues one. The answer tells what missed of it."""
    return request.node is not None or bool(request.changes)


def _chooses(request: Request) -> bool:
    """Whether it cancels only what is in certain states: it must not stand for another's cancel of the same task."""
    return any(cancel.only is not None for cancel in request.cancels)


def merged(requests: list[Request]) -> Request:
    """Put requests, of which at most one is a holder's and none chooses what it cancels, into one."""
    if len(requests) == 1:
        return requests[0]
    holder = next((request for request in requests if _holds(request)), Request())
    submits = {submission.id: submission for request in requests for submission in request.submits}
    cancels = {cancel.id: cancel for request in reversed(requests) for cancel in request.cancels}
    retries = {task_id: None for request in requests for task_id in request.retries}
    return Request(
        node=holder.node,
        number=holder.number,
        changes=holder.changes,
        rejections=holder.rejections,
        wants=holder.wants,
        ring=holder.ring,
        submits=list(submits.values()),
        children=holder.children,
        cancels=list(cancels.values()),
        retries=list(retries),
    )


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return None
