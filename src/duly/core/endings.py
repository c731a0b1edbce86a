"""From an outcome that is no success to what is kept of it, and to the exception its submitter sees."""

from __future__ import annotations

import signal as signals
from typing import Any

from duly.core.outcome import Died, Failure, Invalid, NoSuccess, OutOfMemory, Raised, TimedOut
from duly.core.task import Ending
from duly.errors import OutOfMemory as OutOfMemoryError
from duly.errors import TaskCancelled, TaskDied, TaskError, TaskExpired, TaskFailed, TaskTimedOut


def ending_of(outcome: NoSuccess, output: str = "") -> Ending:
    """Describe an outcome that is no success."""
    said = output or None
    match outcome:
        case Failure(value, _):
            return Ending(kind="failure", value=value, output=said)
        case Raised(error):
            return Ending(kind="error", error=error, output=said)
        case Invalid(error):
            return Ending(kind="invalid", error=error, output=said)
        case TimedOut(limit):
            return Ending(kind="timeout", limit=limit, output=said)
        case OutOfMemory(peak, limit):
            return Ending(kind="memory", peak=peak, limit=limit, output=said)
        case Died(signal, exit_code):
            return Ending(kind="died", signal=signal, exit_code=exit_code, output=said)
        case _:
            return Ending(kind=type(outcome).__name__.lower(), output=said)


def exception_of(
    ending: Ending | None, cause: str, *, reason: str | None = None, task_id: str | None = None, attempts: int = 1
) -> TaskError:
    """Return the exception of a task that ended by this cause; of a quarantined one, the class of its last death."""
    fields: dict[str, Any] = {"cause": cause, "task_id": task_id, "attempts": attempts}
    if cause == "cancel":
        return TaskCancelled(f'Task was cancelled due to: "{reason or "cancelled"}"', **fields)
    if cause == "expired":
        return TaskExpired("Task expired before it began", **fields)
    if ending is None:
        return TaskFailed(f"Task failed: {cause}", **fields)
    fields |= {"error": ending.error, "value": ending.value}
    prefix = "Task was quarantined after its last attempt: " if cause == "quarantined" else "Task "
    match ending.kind:
        case "timeout":
            return TaskTimedOut(f"{prefix}timed out{_after(ending.limit)}", **fields)
        case "memory":
            return OutOfMemoryError(f"{prefix}ran out of memory{_memory(ending)}", peak=ending.peak, **fields)
        case "died":
            return TaskDied(prefix + _death(ending), signal=ending.signal, exit_code=ending.exit_code, **fields)
        case "failure":
            return TaskFailed(f"Task failed: it answered no{_value(ending.value)}", **fields)
        case _:
            return TaskFailed(_error_text(ending, cause), **fields)


def status(ending: Ending) -> str:
    """Say how a process ended: `SIGKILL`, or its exit code."""
    if ending.signal is not None:
        try:
            return signals.Signals(ending.signal).name
        except ValueError:
            return f"signal {ending.signal}"
    return str(ending.exit_code)


def _death(ending: Ending) -> str:
    return f"died: {ending.reason}" if ending.reason else f"process unexpectedly closed with status {status(ending)}"


def _after(limit: float | None) -> str:
    return "" if limit is None else f" after {limit:g} s"


def _memory(ending: Ending) -> str:
    limit = "" if ending.limit is None else f" (limit {megabytes(ending.limit)}"
    peak = "" if ending.peak is None else f"{', ' if limit else ' ('}peak {megabytes(ending.peak)}"
    return f"{limit}{peak}{')' if limit or peak else ''}"


def megabytes(size: float) -> str:
    """Say a number of bytes in MiB.

    >>> megabytes(300 * 2**20)
    '300 MiB'
    """
    return f"{size / 2**20:,.0f} MiB"


def _value(value: Any) -> str:
    return "" if value is None else f" ({value!r})"


def _error_text(ending: Ending, cause: str) -> str:
    error = ending.error
    if error is None:
        return f"Task failed: {cause}"
    return f"{error.type}: {error.message}" if error.message else error.type
