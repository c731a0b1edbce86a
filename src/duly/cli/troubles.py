"""How a task's or target's end without success is told: as a document, and to people."""

from __future__ import annotations

from typing import Any

import msgspec

from duly.cli import exits
from duly.errors import DulyError, OutOfMemory, TaskDied, TaskError


def document(error: DulyError) -> dict[str, Any]:
    """Return an error as data: duly's code and message, what is known, and the user's own error."""
    told: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, TaskError):
        told["cause"] = error.cause
    if isinstance(error, TaskDied):
        told |= {"exit_code": error.exit_code, "signal": error.signal}
    if isinstance(error, OutOfMemory):
        told["peak"] = error.peak
    if isinstance(error, TaskError) and error.error is not None:
        told["error"] = msgspec.to_builtins(error.error)
    return told


def tell_error(error: DulyError) -> None:
    """Say it on stderr, with the user's traceback."""
    exits.tell(str(error), traceback_of(error))


def traceback_of(error: DulyError) -> str:
    """Return the traceback of the user's exception, if that is what it is."""
    return error.error.traceback.rstrip() if isinstance(error, TaskError) and error.error is not None else ""
