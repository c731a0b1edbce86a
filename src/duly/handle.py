"""Handles: a submitted task as its submitter sees it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

import msgspec

from duly.core import units
from duly.core.endings import exception_of
from duly.core.task import ENDED, Ending, State, shown
from duly.engine.asking import Carrier, Tell, Verb, aask, ask
from duly.engine.desk import CancelAnswer, Desk, decoded
from duly.errors import DulyError, ErrorData, NotAvailable, OptionInvalid, WouldDeadlock
from duly.history import KINDS, Event, events_of, when
from duly.ports import TaskRow
from duly.runner.context import HERE

R = TypeVar("R")
D = TypeVar("D")

_LATER = {
    "replay": "replaying comes with actions over time",
    "existing": "unique tasks come with actions over time",
}


class Statistics(NamedTuple):
    """When a task was submitted, began and ended (aware, UTC), its attempts, and the runtime info it added."""

    submitted_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempts: int
    info: dict[str, Any]


class TaskResult(NamedTuple):
    """What became of a task: the `state` it ended in, the `cause` if that is no success, the user's exception."""

    state: str
    cause: str | None
    ok: bool
    value: Any
    error: ErrorData | None
    statistics: Statistics


_NO_DEFAULT: Any = object()


class Handle(Generic[R]):
    """A task that was submitted; cheap to make, holds nothing open. Made by `submit` and by `App.handle`.

    `state` and `last_update` are as last seen; `refresh` looks again.
    """

    def __init__(self, thread: Carrier, desk: Desk, task_id: str, action: str = "", state: str = "") -> None:
        self._thread = thread
        self._desk = desk
        self.id = task_id
        self.action = action
        self.state = state
        self.last_update: Any = None
        self._reactions: dict[str, list[Callable[[Handle[R]], Any]]] = {}
        self._heard = 0

    def __repr__(self) -> str:
        return f"<duly.Handle {self.action} {self.id} {self.state}>"

    # looking
    def refresh(self) -> Handle[R]:
        """Look at the task again, and return this handle. Raises `TaskNotFound`."""
        return ask(self._thread, self._refreshing())

    async def arefresh(self) -> Handle[R]:
        """Like `refresh`, from async code."""
        return await aask(self._thread, self._refreshing())

    def _refreshing(self) -> Verb[Handle[R]]:
        self._see((yield from self._desk.find(self.id)))
        self.last_update = yield from self._desk.last_update(self.id)
        return self

    def _see(self, row: TaskRow) -> None:
        self.action = row.action
        self.state = shown(row.state, row.verdict)

    # waiting
    def wait(self, timeout: units.Seconds | None = None, *, allow_wait: bool = False) -> TaskResult:
        """Wait until the task has ended, and return what became of it; never raises for the task's sake.

        Raises `WaitTimeout` after `timeout` seconds, `TaskNotFound`, and `WouldDeadlock`; see `result`.
        """
        _refuse_to_wait(allow_wait)
        return ask(self._thread, self._waiting(units.patience(timeout)))[1]

    async def await_(
        self,
        timeout: units.Seconds | None = None,  # noqa: ASYNC109 - as `wait` has it
        *,
        allow_wait: bool = False,
    ) -> TaskResult:
        """Like `wait`, from async code."""
        _refuse_to_wait(allow_wait)
        return (await aask(self._thread, self._waiting(units.patience(timeout))))[1]

    def result(
        self, *, timeout: units.Seconds | None = None, default: Any = _NO_DEFAULT, allow_wait: bool = False
    ) -> R:
        """Wait until the task has ended, and return its value.

        Raises `TaskFailed`, `TaskTimedOut`, `TaskDied`, `OutOfMemory`, `TaskCancelled`, `TaskExpired` for a task that
        did not succeed, `WaitTimeout` after `timeout` seconds, and `TaskNotFound`; `default` is returned instead of
        any of them.

        In a handler `WouldDeadlock` is raised at once, unless `allow_wait`: the runner is kept all the time, and where
        all runners wait nothing is done. A worker has some more for handlers that wait, but not without end.
        """
        _refuse_to_wait(allow_wait)
        return ask(self._thread, self._resulting(units.patience(timeout), default))

    async def aresult(
        self,
        *,
        timeout: units.Seconds | None = None,  # noqa: ASYNC109 - as `result` has it
        default: Any = _NO_DEFAULT,
        allow_wait: bool = False,
    ) -> R:
        """Like `result`, from async code."""
        _refuse_to_wait(allow_wait)
        return await aask(self._thread, self._resulting(units.patience(timeout), default))

    def _waiting(self, timeout: float | None) -> Verb[tuple[TaskRow, TaskResult]]:
        if self._reactions:
            row = yield from self._listening(timeout)
        else:
            row = yield from self._desk.wait(self.id, timeout)
        self._see(row)
        row = yield from self._desk.whole(row, "value")
        return row, _result_of(row)

    def _resulting(self, timeout: float | None, default: Any) -> Verb[R]:
        try:
            row, result = yield from self._waiting(timeout)
            if not result.ok:
                raise exception_of(
                    ending_of(row), row.cause or "", reason=row.reason, task_id=row.id, attempts=row.attempt
                )
        except DulyError:
            if default is _NO_DEFAULT:
                raise
            return cast(R, default)
        return cast(R, result.value)

    # cancelling
    def cancel(self, reason: str = "cancelled", *, wait: units.Seconds | None = None) -> CancelAnswer:
        """Cancel the task. Accepted, it is final: nothing revives the task.

        Answers `cancelled` (it had not begun), `asked` (it runs, and is stopped now; with `wait`, after at most so many
        seconds, when it is) or `ended` (it had ended before). Raises `TaskNotFound`, `WaitTimeout`.
        """
        return ask(self._thread, self._desk.cancel(self.id, reason, units.patience(wait, "wait")))

    async def acancel(self, reason: str = "cancelled", *, wait: units.Seconds | None = None) -> CancelAnswer:
        """Like `cancel`, from async code."""
        return await aask(self._thread, self._desk.cancel(self.id, reason, units.patience(wait, "wait")))

    # retrying
    def retry(self) -> Handle[R]:
        """Have a failed task tried again, with all its attempts anew; one that waits for its date is due now.

        It comes last of those with the priority it was submitted with. Returns this handle. Raises `RetryRefused` for
        a task in any other state, with the reason and what to do instead, and `TaskNotFound`.

        >>> handle = send.using(delay="1h").submit("ann@example.com", "hello")
        >>> handle.retry().state
        'ready'
        """
        return ask(self._thread, self._retrying())

    async def aretry(self) -> Handle[R]:
        """Like `retry`, from async code."""
        return await aask(self._thread, self._retrying())

    def _retrying(self) -> Verb[Handle[R]]:
        self.state = yield from self._desk.retry(self.id)
        return self

    # watching
    def on(self, kind: str, reaction: Callable[[Handle[R]], Any]) -> Handle[R]:
        """Have a function called with this handle for each event of a kind, and return the handle.

        It is called by whoever waits (`result`, `wait`, `events`), in that thread, once for each event of the task,
        also for those that had happened before; the handle's `last_update` is that event's if it is an update, its
        `state` as last seen. What it raises ends the wait and is raised there. It may be `async def` for those who
        await (`aresult`, `await_`, `aevents`). Raises `OptionInvalid` for a kind that no event has.

        >>> handle = send.submit("ann@example.com", "hello")
        >>> with app.worker():
        ...     text = handle.on("start", lambda handle: print("begun")).result()
        begun
        """
        if not callable(reaction):
            raise OptionInvalid(f"bad reaction {reaction!r}: a function of the handle")
        if kind not in KINDS:
            raise OptionInvalid(f"bad kind {kind!r} of an event: {', '.join(KINDS)}")
        self._reactions.setdefault(kind, []).append(reaction)
        return self

    def events(self, after: int = 0, *, allow_wait: bool = False) -> Iterator[Event]:
        """Yield the task's events after a number, and from then on each as it happens, until the task has ended.

        From any process that reaches the store. They come from the store, so there is never a gap nor a repeat,
        however slow the reader: who names the last number that was seen gets exactly what followed. Of the updates
        that a task tells, at most ten a second become events. Raises `TaskNotFound`, and `WouldDeadlock`; see
        `result`.

        >>> handle = send.submit("ann@example.com", "hello")
        >>> with app.worker():
        ...     print([event.kind for event in handle.events()])
        ['init', 'start', 'success']
        >>> [event.kind for event in handle.events(after=2)]
        ['success']
        """
        _refuse_to_wait(allow_wait)
        over = False
        while not over:
            events, after, over = ask(self._thread, self._next(after, None))
            for event in events:
                if event.number > self._heard:
                    ask(self._thread, self._hear(event))
                yield event

    async def aevents(self, after: int = 0, *, allow_wait: bool = False) -> AsyncIterator[Event]:
        """Like `events`, from async code."""
        _refuse_to_wait(allow_wait)
        over = False
        while not over:
            events, after, over = await aask(self._thread, self._next(after, None))
            for event in events:
                if event.number > self._heard:
                    await aask(self._thread, self._hear(event))
                yield event

    def _next(self, after: int, timeout: float | None) -> Verb[tuple[list[Event], int, bool]]:
        """Wait for the next events; returns also the number of the last one, and whether nothing more can come."""
        glance = yield from self._desk.news(self.id, after, timeout)
        first = (yield from self._desk.find(self.id)) if after == 0 else None
        runs = (yield from self._desk.runs(self.id, after)) if glance.seq > after else []
        events = [event for event in events_of(first, runs, after) if event.number <= glance.seq]  # as the state is
        self.state = shown(glance.state, glance.verdict)
        last = events[-1].number if events else max(after, glance.seq)
        return events, last, glance.state in ENDED and last >= glance.seq

    def _hear(self, event: Event) -> Verb[None]:
        """Take in an event, and have those called whom it concerns."""
        self._heard = event.number
        if event.kind == "update":
            self.last_update = (event.data or {}).get("data")
        for reaction in self._reactions.get(event.kind, ()):
            yield Tell(reaction, self)

    def _listening(self, timeout: float | None) -> Verb[TaskRow]:
        """Hear of all that happens until the task has ended; a reaction may have had it retried."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            events, self._heard, over = yield from self._next(self._heard, left)
            for event in events:
                yield from self._hear(event)
            row = (yield from self._desk.find(self.id)) if over else None
            if row is not None and row.state in ENDED and row.seq <= self._heard:
                return row

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            if name in _LATER:
                raise NotAvailable(f"handle.{name} is not in this release yet: {_LATER[name]}")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _refuse_to_wait(allow_wait: bool) -> None:
    """Keep a handler from waiting for another task unless it says that it means to."""
    if HERE.line is not None and not allow_wait:
        raise WouldDeadlock(
            "a handler that waits for another task keeps the runner which that may need: end with task.submit(...) of "
            "what comes next, or say allow_wait=True"
        )


def ending_of(row: TaskRow) -> Ending | None:
    """Return how the last attempt ended that did not succeed."""
    return None if row.error is None else msgspec.json.decode(row.error, type=Ending)


def _result_of(row: TaskRow) -> TaskResult:
    ending = ending_of(row)
    ok = row.state == State.SUCCEEDED
    value = decoded(row.value) if ok else ending.value if ending is not None else None
    return TaskResult(
        state=shown(row.state, row.verdict),
        cause=row.cause,
        ok=ok,
        value=value,
        error=ending.error if ending is not None and not ok else None,
        statistics=Statistics(
            submitted_at=when(row.submitted),
            started_at=None if row.started_at is None else when(row.started_at),
            ended_at=None if row.ended_at is None else when(row.ended_at),
            attempts=row.attempt,
            info=decoded(row.info) or {},
        ),
    )
