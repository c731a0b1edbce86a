"""duly runs tasks duly: each in a process of its own, on time, cancellable, watched as it happens.

`perform` runs one callable in isolation, now. An `App` keeps tasks in a store and has workers run them. The names
here are the public interface; everything else is private.
"""

from __future__ import annotations

from importlib import import_module

__version__ = "0.1.0"

TYPE_CHECKING = False  # the real one is in typing, which takes 5 ms
if TYPE_CHECKING:
    from typing import Any

    from duly.action import Action as Action
    from duly.app import App as App
    from duly.core.outcome import Failure as Failure
    from duly.core.outcome import Snooze as Snooze
    from duly.core.outcome import Success as Success
    from duly.core.passport import Passport as Passport
    from duly.core.retry import Backoff as Backoff
    from duly.errors import ActionInvalid as ActionInvalid
    from duly.errors import DulyError as DulyError
    from duly.errors import ErrorData as ErrorData
    from duly.errors import HandlerUnavailable as HandlerUnavailable
    from duly.errors import InvalidInput as InvalidInput
    from duly.errors import NotAvailable as NotAvailable
    from duly.errors import OptionInvalid as OptionInvalid
    from duly.errors import OutOfMemory as OutOfMemory
    from duly.errors import PayloadInvalid as PayloadInvalid
    from duly.errors import RetryRefused as RetryRefused
    from duly.errors import RunnerUnavailable as RunnerUnavailable
    from duly.errors import StoreAway as StoreAway
    from duly.errors import StoreBusy as StoreBusy
    from duly.errors import StoreDamaged as StoreDamaged
    from duly.errors import StoreError as StoreError
    from duly.errors import StoreForeign as StoreForeign
    from duly.errors import StoreFull as StoreFull
    from duly.errors import StoreMoved as StoreMoved
    from duly.errors import StoreReadOnly as StoreReadOnly
    from duly.errors import StoreTooNew as StoreTooNew
    from duly.errors import StoreUnavailable as StoreUnavailable
    from duly.errors import TargetNotFound as TargetNotFound
    from duly.errors import TaskCancelled as TaskCancelled
    from duly.errors import TaskDied as TaskDied
    from duly.errors import TaskError as TaskError
    from duly.errors import TaskExpired as TaskExpired
    from duly.errors import TaskFailed as TaskFailed
    from duly.errors import TaskNotFound as TaskNotFound
    from duly.errors import TaskStopped as TaskStopped
    from duly.errors import TaskTimedOut as TaskTimedOut
    from duly.errors import WaitTimeout as WaitTimeout
    from duly.errors import WorkerMisplaced as WorkerMisplaced
    from duly.errors import WouldDeadlock as WouldDeadlock
    from duly.handle import Handle as Handle
    from duly.handle import Statistics as Statistics
    from duly.handle import TaskResult as TaskResult
    from duly.history import Event as Event
    from duly.listing import PauseInfo as PauseInfo
    from duly.listing import TaskInfo as TaskInfo
    from duly.many import CancelCount as CancelCount
    from duly.many import RetryCount as RetryCount
    from duly.runner.context import Task as Task
    from duly.runner.context import current as current
    from duly.runner.perform import Performed as Performed
    from duly.runner.perform import aperform as aperform
    from duly.runner.perform import perform as perform
    from duly.runner.tasklog import TaskFilter as TaskFilter

_PLACES = {
    "duly.action": ("Action",),
    "duly.app": ("App",),
    "duly.listing": ("PauseInfo", "TaskInfo"),
    "duly.core.outcome": ("Failure", "Snooze", "Success"),
    "duly.core.retry": ("Backoff",),
    "duly.core.passport": ("Passport",),
    "duly.errors": (
        "ActionInvalid",
        "DulyError",
        "ErrorData",
        "HandlerUnavailable",
        "InvalidInput",
        "NotAvailable",
        "OptionInvalid",
        "OutOfMemory",
        "PayloadInvalid",
        "RetryRefused",
        "RunnerUnavailable",
        "StoreAway",
        "StoreBusy",
        "StoreDamaged",
        "StoreError",
        "StoreForeign",
        "StoreFull",
        "StoreMoved",
        "StoreReadOnly",
        "StoreTooNew",
        "StoreUnavailable",
        "TargetNotFound",
        "TaskCancelled",
        "TaskDied",
        "TaskError",
        "TaskExpired",
        "TaskFailed",
        "TaskNotFound",
        "TaskStopped",
        "TaskTimedOut",
        "WaitTimeout",
        "WorkerMisplaced",
        "WouldDeadlock",
    ),
    "duly.handle": ("Handle", "Statistics", "TaskResult"),
    "duly.history": ("Event",),
    "duly.many": ("CancelCount", "RetryCount"),
    "duly.runner.context": ("Task", "current"),
    "duly.runner.perform": ("Performed", "aperform", "perform"),
    "duly.runner.tasklog": ("TaskFilter",),
}
_MODULES = {name: module for module, names in _PLACES.items() for name in names}

__all__ = sorted([*_MODULES, "__version__"])  # noqa: PLE0605 - the names are those above


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that a process pays only for what it needs."""
    if name not in _MODULES:
        raise AttributeError(f"module 'duly' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
