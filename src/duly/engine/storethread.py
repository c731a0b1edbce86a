"""The one thread that uses an App's store.

Callers put jobs into its queue and are told when they are done, after the commit. What gathered while the last commit
was under way becomes one transaction: batches form by themselves, no timer adds delay. (A caller's own thread must
not carry other people's commits: a Ctrl-C in it would strand them.)
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from duly.engine.waker import Waker
from duly.errors import StoreError, StoreUnavailable
from duly.ports import Bell, Reply, Request, Store

Done: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called in the store's thread with the result or the error; must be quick and not raise."""

CHANGE_SECONDS = 0.02
"""How often the store is asked for changes while somebody waits for one and no bell may ring."""


class StoreThread:
    """A store and its thread; begun at the first job, ended by `close`."""

    def __init__(self, make_store: Callable[[], Store], make_bell: Callable[[], Bell], poll: float) -> None:
        self._make_store = make_store
        self._make_bell = make_bell
        self._poll = poll
        self._jobs: deque[tuple[Request | Callable[[Store], Any], Done]] = deque()
        self._ending: dict[str, list[Done]] = {}
        self._changing: list[Done] = []
        self._lock = threading.Lock()
        self._waker = Waker()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._version = -1
        self.address = ""

    # callers
    def open(self) -> None:
        """Open the store, once; raises what that raises."""
        with self._lock:
            if self._closed:
                raise StoreUnavailable("this App was closed")
            if self._thread is not None:
                return
            opened: deque[BaseException | None] = deque()
            ready = threading.Event()
            thread = threading.Thread(target=self._run, args=(opened, ready), name="duly-store", daemon=True)
            thread.start()
            ready.wait()
            error = opened.pop()
            if error is not None:
                thread.join()
                raise error
            self._thread = thread

    def post(self, job: Request | Callable[[Store], Any], done: Done) -> None:
        """Have a request exchanged or a function called with the store; `done` is told."""
        self.open()
        self._jobs.append((job, done))
        self._waker.wake()

    def when_ended(self, task_id: str, done: Done) -> Callable[[], None]:
        """Tell `done` once this task has ended, unless what is returned is called before."""
        self.post(lambda _: self._ending.setdefault(task_id, []).append(done), _ignore)

        def forget(_: Store) -> None:
            waiting = self._ending.get(task_id, [])
            if done in waiting:
                waiting.remove(done)
            if not waiting:
                self._ending.pop(task_id, None)

        return lambda: self.post(forget, _ignore)

    def when_changed(self, done: Done) -> Callable[[], None]:
        """Tell `done` once anything in the store has changed, unless what is returned is called before."""
        self.post(lambda _: self._changing.append(done), _ignore)
        return lambda: self.post(lambda _: self._changing.remove(done) if done in self._changing else None, _ignore)

    def close(self) -> None:
        """Finish what was posted, close the store and end the thread; safe to call twice."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._waker.wake()
            thread.join()

    # the thread
    def _run(self, opened: deque[BaseException | None], ready: threading.Event) -> None:
        try:
            store = self._make_store()
            store.open()
            bell = self._make_bell()
            self.address = bell.address
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
            store.close()

    def _loop(self, store: Store, bell: Bell) -> None:
        poll = select.poll()
        poll.register(self._waker, select.POLLIN)
        poll.register(bell, select.POLLIN)
        look_at = 0.0
        while True:
            wait = self._poll if not (self._ending or self._changing) else max(0.0, look_at - time.monotonic())
            ready = {fd for fd, _ in poll.poll(wait * 1000)} if not self._jobs else {self._waker.fileno()}
            self._waker.clear()
            rung = bell.fileno() in ready
            if rung:
                bell.silence()
            wrote = self._work(store)
            if self._closed and not self._jobs:
                return
            if self._ending or self._changing:
                now = time.monotonic()
                if wrote or rung or now >= look_at:
                    self._tell_waiting(store, sure=wrote or rung)
                    look_at = now + CHANGE_SECONDS

    def _work(self, store: Store) -> bool:
        """Do all jobs there are, requests together in one transaction; whether any were written."""
        requests: list[tuple[Request, Done]] = []
        calls: list[tuple[Callable[[Store], Any], Done]] = []
        while self._jobs:
            job, done = self._jobs.popleft()
            if isinstance(job, Request):
                if job.node is not None and any(request.node is not None for request, _ in requests):
                    self._exchange(store, requests)  # two nodes of one App: a transaction each
                    requests = []
                requests.append((job, done))
            else:
                calls.append((job, done))
        if requests:
            self._exchange(store, requests)
        for call, done in calls:
            _answer(lambda call=call: call(store), done)  # type: ignore[misc]
        return bool(requests or calls)

    def _exchange(self, store: Store, requests: list[tuple[Request, Done]]) -> None:
        reply: Reply | None = None
        error: BaseException | None = None
        try:
            reply = store.exchange(merged([request for request, _ in requests]))
        except BaseException as raised:  # noqa: BLE001 - it is raised where it was asked for
            error = raised
        if reply is not None and not reply.done:  # the node's fault alone: nothing was done of what others asked
            others = [(request, done) for request, done in requests if request.node is None]
            requests = [(request, done) for request, done in requests if request.node is not None]
            if others:
                self._exchange(store, others)
        for _, done in requests:
            done(reply, error)

    def _tell_waiting(self, store: Store, *, sure: bool) -> None:
        try:
            version = store.version()
            if version == self._version and not sure:
                return
            self._version = version
            changing, self._changing = self._changing, []
            for done in changing:
                done(None, None)
            for task_id in store.ended(list(self._ending)) if self._ending else ():
                for done in self._ending.pop(task_id):
                    done(None, None)
        except StoreError as error:
            waiting = [*self._changing, *(done for group in self._ending.values() for done in group)]
            self._changing = []
            self._ending = {}
            for done in waiting:
                done(None, error)


def merged(requests: list[Request]) -> Request:
    """Put requests, of which at most one is a node's, into one."""
    if len(requests) == 1:
        return requests[0]
    node = next((request for request in requests if request.node is not None), Request())
    submits = {submission.id: submission for request in requests for submission in request.submits}
    cancels = {cancel.id: cancel for request in reversed(requests) for cancel in request.cancels}
    return Request(
        node=node.node,
        number=node.number,
        changes=[change for request in requests for change in request.changes],
        rejections=node.rejections,
        want=node.want,
        ring=node.ring,
        submits=list(submits.values()),
        cancels=list(cancels.values()),
    )


def _answer(make: Callable[[], Any], done: Done) -> None:
    try:
        result = make()
    except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
        done(None, error)
    else:
        done(result, None)


def _ignore(_result: Any, _error: BaseException | None) -> None:
    return None
