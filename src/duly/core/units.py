"""Times and sizes as people write them."""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import TypeAlias

from duly.errors import OptionInvalid

Seconds: TypeAlias = float | timedelta | str
"""A length of time: seconds, a timedelta, or text like `"500ms"`, `"1.5h"`, `"1h30m"`, `"7d"`."""

Moment: TypeAlias = float | timedelta | datetime | date | str
"""A point in time: a datetime (a naive one is local), a date (00:00 local), seconds or a timedelta from now, or ISO
8601 text.
"""

Size: TypeAlias = int | str
"""A size: bytes, or text like `"512MiB"` or `"1.5GB"`."""

_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {
    "": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_LENGTH = re.compile(r"(?:\d+(?:\.\d+)?(?:us|µs|ms|s|m|h|d|w))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(us|µs|ms|s|m|h|d|w)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_FAR = 10 * 366 * 86_400.0
_MOST_BYTES = 2**63 - 1
LEAST_MEMORY = 2**20
"""Bytes below which a memory limit is a slip: who gives a number may take it for megabytes."""


def seconds(value: Seconds, what: str = "time") -> float:
    """Return a length of time in seconds, or raise `OptionInvalid`.

    >>> seconds("1h30m"), seconds(2), seconds("500ms")
    (5400.0, 2.0, 0.5)
    """
    length: float | None = None
    if isinstance(value, timedelta):
        length = value.total_seconds()
    elif isinstance(value, str):
        text = value.strip()
        if _NUMBER.fullmatch(text):
            length = float(text)
        elif _LENGTH.fullmatch(text):
            length = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    elif _is_number(value):
        with suppress(OverflowError):
            length = float(value)
    if length is None or not math.isfinite(length) or length < 0:
        raise OptionInvalid(f"bad {what} {value!r}: seconds, a timedelta, or text like '500ms', '90s', '1h30m', '7d'")
    return length


def patience(value: Seconds | None, what: str = "timeout") -> float | None:
    """Return how many seconds somebody waits, None for ever; or raise `OptionInvalid`.

    >>> patience("1m"), patience(None)
    (60.0, None)
    """
    return None if value is None else seconds(value, what)


def size(value: Size, what: str = "size") -> int:
    """Return a size in bytes, or raise `OptionInvalid`.

    >>> size("512MiB"), size(1000)
    (536870912, 1000)
    """
    count: float = -1
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is not None and match[2].lower() in _BYTES:
            count = float(match[1]) * _BYTES[match[2].lower()]
    elif _is_number(value) and value % 1 == 0:
        count = value
    if 0 <= count <= _MOST_BYTES:
        return int(count)
    raise OptionInvalid(f"bad {what} {value!r}: bytes, or text like '64KiB', '512MiB', '1.5GB'")


def time_limit(value: Seconds | None) -> float | None:
    """Return a time limit in seconds, None for none, or raise `OptionInvalid`."""
    limit = None if value is None else seconds(value, "timeout")
    if limit == 0:
        raise OptionInvalid("timeout=0 leaves no time at all; None means no limit")
    return limit


def kept(value: Seconds | None, what: str = "keep") -> int | None:
    """Return in microseconds for how long something is kept, None for good, or raise `OptionInvalid`.

    >>> kept("1h"), kept(0), kept(None)
    (3600000000, 0, None)
    """
    return None if value is None else round(min(seconds(value, what), _FAR) * 1e6)


def memory_limit(value: Size | None) -> int | None:
    """Return a memory limit in bytes, None for none, or raise `OptionInvalid`."""
    limit = None if value is None else size(value, "memory")
    if limit == 0:
        raise OptionInvalid("memory=0 leaves no memory at all; None means no limit")
    if limit is not None and limit < LEAST_MEMORY:
        raise OptionInvalid(
            f"memory={value!r} is too little for anything: bytes, or text like '512MiB'; at least 1 MiB"
        )
    return limit


def moment(value: Moment, now: datetime, what: str = "time", length: str = "from now") -> int:
    """Return a point in time in microseconds since 1970 (UTC), or raise `OptionInvalid`; `now` is aware.

    An error says which way a `length` counts.

    >>> from datetime import timezone
    >>> moment(60, datetime(2026, 1, 1, tzinfo=timezone.utc)) - moment("2026-01-01T00:00Z", datetime.now(timezone.utc))
    60000000
    """
    bare = not isinstance(value, str) or _NUMBER.fullmatch(value)
    if isinstance(value, str):
        value = _from_text(value, what, length)
    if isinstance(value, bool) or not isinstance(value, int | float | timedelta | date):
        raise OptionInvalid(
            f"bad {what} {value!r}: a datetime, a date, ISO 8601 text, or seconds or a timedelta {length}"
        )
    if bare and isinstance(value, int | float) and not -_FAR <= value <= _FAR:
        raise OptionInvalid(
            f"bad {what} {value!r}: a number is seconds {length}, and this is years; a moment is a datetime"
        )
    try:
        if isinstance(value, int | float):
            value = timedelta(seconds=value)
        if isinstance(value, timedelta):
            value = now + value
        elif not isinstance(value, datetime):
            value = datetime.combine(value, time())
        return _microseconds(value.astimezone())
    except (OverflowError, ValueError):
        raise OptionInvalid(f"bad {what} {value!r}: out of range") from None


def length(value: Moment, what: str = "time") -> float | None:
    """Return how many seconds a length of time has, None for a moment, or raise `OptionInvalid`.

    >>> length("1m"), length("2026-01-01T00:00Z")
    (60.0, None)
    """
    if isinstance(value, str):
        value = _from_text(value, what, "from now")
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _microseconds(value: datetime) -> int:
    since = value - datetime.fromtimestamp(0, value.tzinfo)
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def _from_text(text: str, what: str, length: str) -> datetime | float:
    """Read ISO 8601 or a length; of bare numbers only eight digits are a date, though Python would take more."""
    with suppress(ValueError):
        if len(text) == len("20260131") or not _NUMBER.fullmatch(text):
            return datetime.fromisoformat(text)
    with suppress(OptionInvalid):
        return seconds(text, what)
    raise OptionInvalid(
        f"bad {what} {text!r}: ISO 8601 text like '2026-01-31T09:00+01:00', or a length {length} like '90s', '2h'"
    )
