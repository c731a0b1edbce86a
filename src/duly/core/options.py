"""What a submitter says about one task, read as people write it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from duly.core import units
from duly.core.action import Priority, check_queue
from duly.core.order import band_of
from duly.core.passport import Options
from duly.errors import NotAvailable, OptionInvalid

UNSET = msgspec.UNSET
_LATER = {
    "deadline": "deadlines come with actions over time",
    "expires_at": "expiry comes with actions over time",
    "unique_key": "unique tasks come with actions over time",
    "limit": "limits come with actions over time",
}


def with_options(
    options: Options,
    now: datetime,
    *,
    priority: Priority | None = None,
    front: bool | None = None,
    run_at: units.Moment | None = None,
    delay: units.Seconds | None = None,
    queue: str | None = None,
    timeout: units.Seconds | msgspec.UnsetType | None = UNSET,
    max_attempts: int | None = None,
    **later: Any,
) -> Options:
    """Return options with what a submitter says now; raises `OptionInvalid` for what cannot be read."""
    refuse_unknown("option", later, _LATER)
    changes: dict[str, Any] = {}
    if priority is not None:
        band_of(priority)
        changes["priority"] = priority
    if front is not None:
        if not isinstance(front, bool):
            raise OptionInvalid(f"bad front {front!r}: True or False")
        changes["front"] = front
    if queue is not None:
        changes["queue"] = check_queue(queue)
    if run_at is not None and delay is not None:
        raise OptionInvalid("run_at and delay say the same thing twice; give one of them")
    if run_at is not None:
        changes |= _date(run_at, now, "run_at")
    if delay is not None:
        changes |= _date(units.seconds(delay, "delay"), now, "delay")
    if timeout is not UNSET:
        changes["timeout"] = units.time_limit(timeout)
    if max_attempts is not None:
        changes["max_attempts"] = at_least_one("max_attempts", max_attempts)
    return msgspec.structs.replace(options, **changes)


def _date(value: units.Moment, now: datetime, what: str) -> dict[str, Any]:
    """When it is to begin; clocks differ in how far off a moment is, so a length is left to that of the store."""
    moment, length = units.moment(value, now, what), units.length(value, what)
    return {"run_at": None, "delay": max(0.0, length)} if length is not None else {"run_at": moment, "delay": None}


def refuse_unknown(what: str, given: Mapping[str, Any], later: Mapping[str, str]) -> None:
    """Raise `NotAvailable` for what is to come, `OptionInvalid` for what never was."""
    for name in given:
        if name in later:
            raise NotAvailable(f"{name}= is not in this release yet: {later[name]}")
        raise OptionInvalid(f"there is no {what} {name!r}")


def at_least_one(name: str, value: Any) -> int:
    """Return a count, or raise `OptionInvalid`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionInvalid(f"bad {name} {value!r}: a whole number from 1")
    return value
