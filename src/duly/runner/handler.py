"""A handler as a runner calls it, and what its attempt came to in the words of `Done`."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from typing import Any, NamedTuple

from duly.core import jsonvalue, units
from duly.core.outcome import Failure, Snooze, Success
from duly.core.signature import Signature
from duly.errors import ErrorData, InvalidInput, TargetNotFound, TaskStopped
from duly.runner import failures
from duly.runner.context import Task
from duly.runner.targets import resolve
from duly.wire.runner import Kind, Target


class Answer(NamedTuple):
    """What an attempt came to, in the words of `Done`."""

    kind: Kind
    value: str | None = None
    error: ErrorData | None = None
    retry: bool = True
    until: int | None = None
    peak: int | None = None


_NOTHING = Answer("success", "null")


class Handler:
    """A target ready to be called: an action's handler with its arguments, or `perform`'s with its one value."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._function = resolve(target)
        self._signature = Signature(self._function, Task) if target.name else None

    def arguments(self, task: Task, payload: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what it is to be called with; raises `PayloadInvalid` for a payload that does not fit."""
        signature = self._signature
        if signature is None:
            return (jsonvalue.load(payload),), {}
        args, kwargs = signature.decode(payload)
        return ((task, *args), kwargs) if signature.takes_context else (args, kwargs)

    def check(self, payload: str) -> None:
        """Raise `PayloadInvalid` for a payload that it would not take."""
        if self._signature is not None:
            self._signature.decode(payload)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call it; for an `async def`, return the coroutine."""
        return self._function(*args, **kwargs)


def found(target: Target) -> Handler | Answer:
    """Import a handler, or return what an attempt comes to without it."""
    try:
        return Handler(target)
    except TargetNotFound as error:
        return Answer("missing", error=ErrorData(type="TargetNotFound", message=str(error)))
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001 - an import runs user code, which may raise anything
        return Answer("raised", error=failures.describe(error))


def failed(error: BaseException, *, asked: bool) -> Answer:
    """Turn what the user's code raised into an answer; `asked` tells whether it was asked to stop."""
    if isinstance(error, MemoryError):
        return Answer("memory", error=failures.describe(error), peak=_peak())
    if asked and _means_stopped(error):
        return Answer("stopped")
    return Answer("raised", error=failures.describe(error))


def judged(value: Any, most: int, *, performing: bool) -> Answer:
    """Turn what a handler returned into an answer; a bare bool is the outcome for `perform` only."""
    if value is None:
        return _NOTHING
    try:
        if isinstance(value, Failure):
            return Answer("failure", jsonvalue.dump(value.value, most).decode(), retry=value.retry)
        if isinstance(value, Snooze) and performing:
            return Answer("invalid", error=ErrorData(type="Snooze", message="only an action's task can come back"))
        if isinstance(value, Snooze):
            return Answer("snooze", until=units.moment(value.until, datetime.now(UTC), "snooze"))
        if performing and value is False:
            return Answer("failure", "null")
        if performing and value is True:
            return _NOTHING
        result = value.value if isinstance(value, Success) else value
        return Answer("success", jsonvalue.dump(result, most).decode())
    except InvalidInput as error:
        return Answer("invalid", error=ErrorData(type=type(error).__name__, message=f"the result: {error}"))
    except MemoryError as error:
        return Answer("memory", error=failures.describe(error), peak=_peak())
    except Exception as error:  # noqa: BLE001 - what is encoded may be made by the user's classes
        return Answer("invalid", error=failures.describe(error))


def _means_stopped(error: BaseException) -> bool:
    """Whether this is how code ends that was asked to; the name tells, for asyncio may not be imported."""
    return isinstance(error, TaskStopped) or type(error).__name__ == "CancelledError"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
