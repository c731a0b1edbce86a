"""Every error of duly, in one tree.

```
DulyError                    everything duly raises on purpose; has a stable `code`
├── TaskError                a task or a performed callable ended without success
│   ├── TaskFailed             failed      its error, its final "no", or a refused payload
│   ├── TaskTimedOut           timeout     a time limit was reached
│   ├── TaskDied               died        the process ended without an answer
│   ├── OutOfMemory            memory      the memory limit was reached
│   ├── TaskCancelled          cancelled   somebody cancelled it
│   └── TaskExpired            expired     it had not begun when its time was over
├── WaitTimeout              the wait ended, the task goes on
├── WouldDeadlock            a handler was about to wait for another task
├── TaskNotFound             no task has this id
├── RetryRefused             a task in this state cannot be retried
├── TargetNotFound           `perform` cannot find the module, file or function
├── RunnerUnavailable        no process could be started
├── HandlerUnavailable       a handler's module cannot be imported
├── WorkerMisplaced          a worker was started where it must not be
├── NotAvailable             this release, or this kind of store, does not do that
├── InvalidInput             what was given cannot be used
│   ├── ActionInvalid          a bad action name or declaration
│   ├── PayloadInvalid         not JSON, or not what the handler takes
│   └── OptionInvalid          a bad option, time, size, url or setting
└── StoreError               the store could not do it
    ├── StoreUnavailable       cannot be opened or reached
    │   └── StoreAway            its server is away, and may come back
    ├── StoreBusy              somebody else holds it for too long
    ├── StoreFull              no space left
    ├── StoreReadOnly          may not be written
    ├── StoreDamaged           its content is broken
    ├── StoreForeign           not a duly store
    ├── StoreMoved             moved elsewhere, or being moved
    └── StoreTooNew            made by a newer duly

TaskStopped(BaseException)   raised inside a handler that is asked to stop
```

Codes are the same on the command line, in events and on the wire.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec


class ErrorData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception of user code as data; no foreign class is ever rebuilt from it.

    `type` is the qualified class name, `traceback` the text with causes and notes, `fingerprint`
    is equal for errors that are alike, `code` and `data` are the exception's own `code` and the
    JSON part of its attributes (16 KiB at most).
    """

    type: str
    message: str
    traceback: str = ""
    fingerprint: str = ""
    code: str | int | None = None
    data: Any = None


class DulyError(Exception):
    """Base of all errors of duly; `code` is stable and may be matched."""

    code: ClassVar[str] = "error"


class TaskError(DulyError):
    """A task ended without success.

    `task_id` (None for `perform`), `cause`, `attempts`, `value` (of a `Failure`) and `error`
    (`ErrorData` of the user's exception, or None).
    """

    code = "task"

    def __init__(
        self,
        message: str,
        *,
        task_id: str | None = None,
        cause: str = "",
        attempts: int = 1,
        value: Any = None,
        error: ErrorData | None = None,
    ) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.cause = cause or self.code
        self.attempts = attempts
        self.value = value
        self.error = error
        if error is not None and error.traceback:
            self.add_note("in the task's own process:\n" + error.traceback.rstrip())


class TaskFailed(TaskError):
    """The task raised, answered with a final `Failure`, or its payload or result could not be used."""

    code = "failed"


class TaskTimedOut(TaskError):
    """The task was stopped at its time limit."""

    code = "timeout"


class TaskDied(TaskError):
    """The task's process ended without an answer; `exit_code` or `signal` says how."""

    code = "died"

    def __init__(self, message: str, *, exit_code: int | None = None, signal: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.exit_code = exit_code
        self.signal = signal


class OutOfMemory(TaskError):
    """The task was stopped at its memory limit; `peak` is the most that was seen, in bytes."""

    code = "memory"

    def __init__(self, message: str, *, peak: int | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.peak = peak


class TaskCancelled(TaskError):
    """Somebody cancelled the task; the message gives the reason."""

    code = "cancelled"


class TaskExpired(TaskError):
    """The task had not begun when its time was over."""

    code = "expired"


class TaskStopped(BaseException):
    """Raised inside a handler that is asked to stop; `reason` is `cancel`, `timeout` or `drain`.

    A `BaseException`, so that `except Exception` lets it pass. Whoever catches it to clean up
    has half the grace time for it, and should raise it again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WaitTimeout(DulyError, TimeoutError):
    """The task had not ended when the wait was over; it goes on."""

    code = "wait_timeout"


class WouldDeadlock(DulyError, RuntimeError):
    """A handler was about to wait for another task, which may itself wait for a runner to be free.

    End with a `task.submit` of what comes next, or say `allow_wait=True`.
    """

    code = "would_deadlock"


class TaskNotFound(DulyError, LookupError):
    """No task has this id."""

    code = "not_found"


class RetryRefused(DulyError):
    """Only what has failed, or waits for its date, can be retried; `state` is the one that the task is in."""

    code = "retry_refused"

    def __init__(self, message: str, *, task_id: str, state: str) -> None:
        super().__init__(message)
        self.task_id = task_id
        self.state = state


class TargetNotFound(DulyError, LookupError):
    """`perform` cannot find the module, file, attribute or function it is to run."""

    code = "target_not_found"


class RunnerUnavailable(DulyError):
    """No process could be started for the task."""

    code = "runner_unavailable"


class HandlerUnavailable(DulyError):
    """A handler cannot be found by the process that is to run it, often since its module fails to import."""

    code = "handler_unavailable"


class WorkerMisplaced(DulyError, RuntimeError):
    """A worker was started where it must not be: while a module is imported, or inside a task."""

    code = "worker_misplaced"


class NotAvailable(DulyError, AttributeError):
    """This release does not do that yet, or this kind of store does not; the message says what is meant."""

    code = "not_available"


class InvalidInput(DulyError, ValueError):
    """What was given cannot be used."""

    code = "invalid"


class ActionInvalid(InvalidInput):
    """A bad action name, a handler that cannot be used, or an action declared twice."""

    code = "action_invalid"


class PayloadInvalid(InvalidInput):
    """The payload is not JSON, too large, or not what the handler takes; `path` says where (`$.emails[3]`)."""

    code = "payload_invalid"

    def __init__(self, message: str, path: str = "$") -> None:
        super().__init__(message if path == "$" else f"{message} at {path}")
        self.path = path


class OptionInvalid(InvalidInput):
    """A bad option: a time, size, priority, url or setting that cannot be read."""

    code = "option_invalid"


class StoreError(DulyError):
    """The store could not do what was asked; nothing of it was done, but after a failed sync, when that is not known.

    To submit the same passport again is safe in any case: its id is stored once.
    """

    code = "store"


class StoreUnavailable(StoreError):
    """The store cannot be opened or reached."""

    code = "store_unavailable"


class StoreAway(StoreUnavailable):
    """The server that keeps the store cannot be reached just now; workers and whoever waits go on when it is back."""

    code = "store_away"


class StoreBusy(StoreError):
    """Another process held the store's write lock for longer than 10 s."""

    code = "store_busy"


class StoreFull(StoreError):
    """No space is left where the store lives."""

    code = "store_full"


class StoreReadOnly(StoreError):
    """The store may be read but not written."""

    code = "store_read_only"


class StoreDamaged(StoreError):
    """The store's content is broken."""

    code = "store_damaged"


class StoreForeign(StoreError):
    """What the url names is not a duly store."""

    code = "store_foreign"


class StoreMoved(StoreError):
    """The store was moved elsewhere, or is being moved: nothing may be written there."""

    code = "store_moved"


class StoreTooNew(StoreError):
    """The store was changed by a newer duly in a way this one cannot work with."""

    code = "store_too_new"


PASSING = (StoreBusy, StoreFull, StoreAway)
"""What a store says of trouble that may be over by itself: who works, or waits for a result, tries again."""
