"""What an attempt can come to: a closed union that is matched in `lifecycle` and nowhere else.

The system decides by an outcome's kind alone (P16); what is inside a value is the user's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

from duly.core import units
from duly.errors import ErrorData, OptionInvalid

_ANY_MOMENT = datetime(2000, 1, 1, tzinfo=UTC)


class Success(msgspec.Struct, frozen=True):
    """The handler answered; `value` is its result.

    A `perform` target may return `Success(value)` to say yes and carry a value.
    """

    value: Any = None


class Failure(msgspec.Struct, frozen=True):
    """The handler did its work and the answer is no; with `retry` it is tried again by the action's policy."""

    value: Any = None
    retry: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.retry, bool):
            raise OptionInvalid(f"bad retry {self.retry!r}: True or False; when, is said by the action's `retry`")


class Snooze(msgspec.Struct, frozen=True):
    """What a handler returns to come back later: a time, or seconds or a timedelta from now.

    Raises `OptionInvalid` for what is neither.
    """

    until: Any

    def __post_init__(self) -> None:
        units.moment(self.until, _ANY_MOMENT, "time to come back at")


class Raised(msgspec.Struct, frozen=True):
    """An exception: something went wrong that may not go wrong next time."""

    error: ErrorData


class Invalid(msgspec.Struct, frozen=True):
    """The payload does not fit the handler, or the result is not JSON or too large: no retry can help."""

    error: ErrorData


class TimedOut(msgspec.Struct, frozen=True):
    """The time limit was reached; `limit` in seconds."""

    limit: float


class OutOfMemory(msgspec.Struct, frozen=True):
    """The memory limit was reached; both in bytes, the limit None if the machine's own was meant."""

    peak: int | None = None
    limit: int | None = None


class Died(msgspec.Struct, frozen=True):
    """The process ended without an answer, by a signal or an exit code (0, too)."""

    signal: int | None = None
    exit_code: int | None = None


class Snoozed(msgspec.Struct, frozen=True):
    """The handler asked to come back; `until` in microseconds of the store's clock."""

    until: int


class Interrupted(msgspec.Struct, frozen=True):
    """Stopped through no fault of its own: a drain, a neighbour's end, a process that could not be started."""

    why: str = "drain"


class Cancelled(msgspec.Struct, frozen=True):
    """A cancel reached the attempt."""


class Dropped(msgspec.Struct, frozen=True):
    """Every service that saw the task dropped it."""


NoSuccess: TypeAlias = (
    Failure | Raised | Invalid | TimedOut | OutOfMemory | Died | Snoozed | Interrupted | Cancelled | Dropped
)
Outcome: TypeAlias = Success | NoSuccess
