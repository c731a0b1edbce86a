"""Whose turn it is to use an App's store, and the thread that uses it for all others.

Callers put jobs into a queue and are told when they are done, after the commit. What gathered while the last commit
was under way becomes one transaction: batches form by themselves, no timer adds delay. A caller that finds the store
free does its own job itself, which spares it two changes of threads; never other people's: a Ctrl-C would strand them.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeAlias

from duly.engine import forks
from duly.engine.waker import Waker
from duly.errors import StoreError, StoreUnavailable
from duly.ports import Bell, Reply, Request, Store

Done: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called with the result or the error in whichever thread did the job; must be quick and not raise."""

CLOSED = "this App was closed"
FORK_SECONDS = 11.0
"""How long a fork waits for who uses the store; a write gives up after 10 s."""

CHANGE_SECONDS = 0.02
"""How often the store is asked for changes while somebody waits for one and no bell may ring."""


class StoreThread:
    """A store and its thread; begun at the first job, ended by `close`. A forked process has a thread of its own.

    `changes` counts the changes that were noticed: own writes, rings, and others' writes while somebody waits.
    """

    def __init__(self, make_store: Callable[[], Store], make_bell: Callable[[], Bell], poll: float) -> None:
        self._make_store = make_store
        self._make_bell = make_bell
        self._poll = poll
        self._closed = False
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._jobs: deque[tuple[Request | Callable[[Store], Any], Done]] = deque()
        self._ending: dict[str, list[Done]] = {}
        self._changing: list[Done] = []
        self._lock = threading.Lock()
        self._using = threading.Lock()
        self._rests = False
        self._busy = False  # a hint alone: whoever is wrong about it waits, or is told a little later
        self._store: Store | None = None
        self._waker: Waker
        self._thread: threading.Thread | None = None
        self._version = -1
        self.changes = 0
        self.address = ""
        forks.care_for(self)

    def before_fork(self) -> None:
        """Have the store closed and used by nobody until `after_fork`, unless somebody does not let go of it."""
        self._rests = self._using.acquire(timeout=FORK_SECONDS)
        if self._rests and self._store is not None:
            self._store.let_go()

    def after_fork(self) -> None:
        """Let it be used again; a child begins anew when it does."""
        if self._rests:
            self._rests = False
            self._using.release()

    # callers
    def open(self) -> None:
        """Open the store, once; raises what that raises."""
        if self._pid != os.getpid():  # forked: neither the thread nor its right to the connection came along
            self._begin()
        with self._lock:
            self._open()

    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailable(CLOSED)
        if self._thread is not None:
            return
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
            self._jobs.append((job, done))
        self._waker.wake()

    def do(self, job: Request | Callable[[Store], Any], done: Done) -> None:
        """The same in the caller's thread if the store is free, and then `done` was told on return."""
        self.open()
        if self._busy or self._jobs:
            self.post(job, done)
            return
        with self._using:
            if self._store is None:
                raise StoreUnavailable(CLOSED)
            self._busy = True
            try:
                self._carry_out(self._store, job, done)
            finally:
                self._busy = False
        if self._ending or self._changing:
            self._waker.wake()  # somebody may have waited for this

    def when_ended(self, task_id: str, done: Done) -> Callable[[], None]:
        """Tell `done` once this task has ended, unless what is returned is called before."""

        def wait(store: Store) -> None:
            if store.ended([task_id]):
                done(None, None)
            else:
                self._ending.setdefault(task_id, []).append(done)

        def forget(_: Store) -> None:
            waiting = self._ending.get(task_id, [])
            if done in waiting:
                waiting.remove(done)
            if not waiting:
                self._ending.pop(task_id, None)

        self.post(wait, lambda _, error: done(None, error) if error is not None else None)
        return lambda: self._post_if_open(forget)

    def when_changed(self, since: int, done: Done) -> Callable[[], None]:
        """Tell `done` once `changes` is not `since`, unless what is returned is called before."""
        self.post(lambda _: self._changing.append(done) if self.changes == since else done(None, None), _ignore)
        return lambda: self._post_if_open(lambda _: self._changing.remove(done) if done in self._changing else None)

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
        try:
            with self._using:  # a fork meanwhile would leave its child locks that nobody opens
                store = self._make_store()
                store.open()
                bell = self._make_bell()
                self.address = bell.address
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
            self._fail_waiting(StoreUnavailable(CLOSED))

    def _loop(self, store: Store, bell: Bell) -> None:
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(bell, select.POLLIN)
        look_at = 0.0
        told = 0
        while True:
            if not (self._ending or self._changing):
                told = self.changes
            wait = self._poll if not (self._ending or self._changing) else max(0.0, look_at - time.monotonic())
            ready = {fd for fd, _ in poll.poll(wait * 1000)} if not self._jobs else {self._waker.fileno()}
            self._waker.clear()
            rung = bell.fileno() in ready
            if rung:
                bell.silence()
            with self._using:
                self._busy = True
                self._work(store)
                self.changes += rung
                if self._ending or self._changing:
                    if time.monotonic() >= look_at:
                        self._look(store)
                        look_at = time.monotonic() + CHANGE_SECONDS
                    if self.changes != told:
                        told = self.changes
                        self._tell_waiting(store)
                self._busy = False
            if self._closed and not self._jobs:
                return

    def _work(self, store: Store) -> None:
        """Do all jobs there are, requests together in one transaction."""
        requests: list[tuple[Request, Done]] = []
        calls: list[tuple[Callable[[Store], Any], Done]] = []
        while self._jobs:
            job, done = self._jobs.popleft()
            if isinstance(job, Request):
                if _holds(job) and any(_holds(request) for request, _ in requests):
                    self._exchange(store, requests)  # two holders: a transaction each
                    requests = []
                requests.append((job, done))
            else:
                calls.append((job, done))
        if requests:
            self._exchange(store, requests)
        for call, done in calls:
            self._carry_out(store, call, done)

    def _carry_out(self, store: Store, job: Request | Callable[[Store], Any], done: Done) -> None:
        if isinstance(job, Request):
            self._exchange(store, [(job, done)])
            return
        try:
            result = job(store)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            done(None, error)
        else:
            done(result, None)

    def _exchange(self, store: Store, requests: list[tuple[Request, Done]]) -> None:
        reply: Reply | None = None
        error: BaseException | None = None
        try:
            reply = store.exchange(merged([request for request, _ in requests]))
        except BaseException as raised:  # noqa: BLE001 - it is raised where it was asked for
            error = raised
        self.changes += 1
        if error is not None and not isinstance(error, StoreError) and len(requests) > 1:
            for request, done in requests:  # the fault of what one of them asked for
                self._exchange(store, [(request, done)])
            return
        if reply is not None and not reply.done:  # the node's fault alone: nothing was done of what others asked
            others = [(request, done) for request, done in requests if request.node is None]
            requests = [(request, done) for request, done in requests if request.node is not None]
            if others:
                self._exchange(store, others)
        for _, done in requests:
            done(reply, error)

    def _look(self, store: Store) -> None:
        """Notice what others have written."""
        try:
            version = store.version()
        except StoreError as error:
            self._fail_waiting(error)
            return
        self.changes += version != self._version
        self._version = version

    def _tell_waiting(self, store: Store) -> None:
        try:
            changing, self._changing = self._changing, []
            for done in changing:
                done(None, None)
            for task_id in store.ended(list(self._ending)) if self._ending else ():
                for done in self._ending.pop(task_id):
                    done(None, None)
        except StoreError as error:
            self._fail_waiting(error)

    def _fail_waiting(self, error: StoreError) -> None:
        waiting = [*self._changing, *(done for group in self._ending.values() for done in group)]
        self._changing = []
        self._ending = {}
        for done in waiting:
            done(None, error)


def _holds(request: Request) -> bool:
    """Whether it speaks for a holder of claims: a node, or who rescues one. The answer tells what missed of it."""
    return request.node is not None or bool(request.changes)


def merged(requests: list[Request]) -> Request:
    """Put requests, of which at most one is a holder's, into one."""
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
        cancels=list(cancels.values()),
        retries=list(retries),
    )


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return None
