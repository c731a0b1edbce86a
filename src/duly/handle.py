"""Handles: a submitted task as its submitter sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, NoReturn, TypeVar, cast

import msgspec

from duly.core.endings import exception_of
from duly.core.task import ENDED, Ending, State, shown
from duly.engine.asking import Carrier, Verb, aask, ask
from duly.engine.desk import CancelAnswer, Desk, decoded
from duly.errors import DulyError, ErrorData, NotAvailable, WouldDeadlock
from duly.ports import EventRow, TaskRow
from duly.runner.context import HERE

R = TypeVar("R")
D = TypeVar("D")

EPOCH = datetime.fromtimestamp(0, UTC)

_LATER = {
    "on": "reacting to events comes with watching",
    "replay": "replaying comes with actions over time",
    "existing": "unique tasks come with actions over time",
}


class Event(NamedTuple):
    """One numbered line of a task's history; numbers have no gaps. `at` is aware, in UTC; `data` is JSON or None."""

    number: int
    kind: str
    at: datetime
    attempt: int
    data: Any


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
    def wait(self, timeout: float | None = None, *, allow_wait: bool = False) -> TaskResult:
        """Wait until the task has ended, and return what became of it; never raises for the task's sake.

        Raises `WaitTimeout` after `timeout` seconds, `TaskNotFound`, and `WouldDeadlock`; see `result`.
        """
        _refuse_to_wait(allow_wait)
        return ask(self._thread, self._waiting(timeout))[1]

    async def await_(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - as `wait` has it
        *,
        allow_wait: bool = False,
    ) -> TaskResult:
        """Like `wait`, from async code."""
        _refuse_to_wait(allow_wait)
        return (await aask(self._thread, self._waiting(timeout)))[1]

    def result(self, *, timeout: float | None = None, default: Any = _NO_DEFAULT, allow_wait: bool = False) -> R:
        """Wait until the task has ended, and return its value.

        Raises `TaskFailed`, `TaskTimedOut`, `TaskDied`, `OutOfMemory`, `TaskCancelled`, `TaskExpired` for a task that
        did not succeed, `WaitTimeout` after `timeout` seconds, and `TaskNotFound`; `default` is returned instead of
        any of them.

        In a handler `WouldDeadlock` is raised at once, unless `allow_wait`: the runner is kept all the time, and where
        all runners wait nothing is done. A worker has some more for handlers that wait, but not without end.
        """
        _refuse_to_wait(allow_wait)
        return ask(self._thread, self._resulting(timeout, default))

    async def aresult(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - as `result` has it
        default: Any = _NO_DEFAULT,
        allow_wait: bool = False,
    ) -> R:
        """Like `result`, from async code."""
        _refuse_to_wait(allow_wait)
        return await aask(self._thread, self._resulting(timeout, default))

    def _waiting(self, timeout: float | None) -> Verb[tuple[TaskRow, TaskResult]]:
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
    def cancel(self, reason: str = "cancelled", *, wait: float | None = None) -> CancelAnswer:
        """Cancel the task. Accepted, it is final: nothing revives the task.

        Answers `cancelled` (it had not begun), `asked` (it runs, and is stopped now; with `wait`, after at most so many
        seconds, when it is) or `ended` (it had ended before). Raises `TaskNotFound`, `WaitTimeout`.
        """
        return ask(self._thread, self._desk.cancel(self.id, reason, wait))

    async def acancel(self, reason: str = "cancelled", *, wait: float | None = None) -> CancelAnswer:
        """Like `cancel`, from async code."""
        return await aask(self._thread, self._desk.cancel(self.id, reason, wait))

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
    def events(self, after: int = 0, *, allow_wait: bool = False) -> Iterator[Event]:
        """Yield the task's history after a number, then what happens, until it has ended.

        Raises `TaskNotFound`, and `WouldDeadlock`; see `result`.
        """
        _refuse_to_wait(allow_wait)
        while True:
            seen = self._thread.changes
            row, events = ask(self._thread, self._next_events(after))
            yield from events
            after += len(events)
            if not events and row.state in ENDED:
                return
            if not events:
                ask(self._thread, self._desk.await_change(seen, 1.0))

    async def aevents(self, after: int = 0, *, allow_wait: bool = False) -> AsyncIterator[Event]:
        """Like `events`, from async code."""
        _refuse_to_wait(allow_wait)
        while True:
            seen = self._thread.changes
            row, events = await aask(self._thread, self._next_events(after))
            for event in events:
                yield event
            after += len(events)
            if not events and row.state in ENDED:
                return
            if not events:
                await aask(self._thread, self._desk.await_change(seen, 1.0))

    def _next_events(self, after: int) -> Verb[tuple[TaskRow, list[Event]]]:
        """The task as it was before its next events were read: if it had ended, they are the last."""
        row = yield from self._desk.find(self.id)
        runs = yield from self._desk.runs(self.id, after)
        events = [_init_event(row), *unfolded(runs)] if after == 0 else unfolded(runs)
        return row, [event for event in events if event.number > after]

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


def _init_event(row: TaskRow) -> Event:
    return Event(1, "init", when(row.submitted), 0, {"origin": row.origin})


def history(desk: Desk, task_id: str) -> Verb[tuple[TaskRow, list[Event]]]:
    """Read a task, and all that has happened to it up to now."""
    row = yield from desk.find(task_id)
    row = yield from desk.whole(row, "payload", "value")
    events = [_init_event(row)]
    while True:
        runs = yield from desk.runs(task_id, len(events))
        new = [event for event in unfolded(runs) if event.number > len(events)]
        if not new:
            return row, events
        events += new


def happened(desk: Desk, seen: Mapping[str, int]) -> Verb[list[tuple[TaskRow, list[Event]]]]:
    """Read tasks, and of each what happened after the event whose number was seen; unknown ones are left out."""
    rows: list[TaskRow] = yield lambda store: store.find(list(seen))
    news = []
    for row in rows:
        after = seen[row.id]
        runs = (yield from desk.runs(row.id, after)) if row.seq > after else []
        events = [_init_event(row), *unfolded(runs)] if after == 0 else unfolded(runs)
        news.append((row, [event for event in events if event.number > after]))
    return news


def unfolded(runs: list[EventRow]) -> list[Event]:
    """Return the single events of rows that each hold a run of them."""
    return [
        Event(run.first + place, kind, when(at), run.attempt, data)
        for run in runs
        for place, (kind, at, data) in enumerate(msgspec.json.decode(run.body))
    ]


def when(microseconds: int) -> datetime:
    """Return a moment of the store as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)


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
