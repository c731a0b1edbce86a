"""Moments, lengths of time and JSON as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from duly.cli.streams import plain


def moment(at: datetime | None) -> str:
    """Return a moment in local time, to the second."""
    return "" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Return a length of time as people say it.

    >>> duration(0.0042), duration(1.237), duration(75), duration(3 * 3600 + 120), duration(-1)
    ('4 ms', '1.2 s', '1 min 15 s', '3 h 2 min', '0 ms')
    """
    if seconds < 0.9995:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    for unit, size, lesser, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {unit}" + (f" {rest} {lesser}" if rest else "")
    return f"{whole} s"


def ago(at: datetime, now: datetime) -> str:
    """Say how far a moment is from now.

    >>> from datetime import timedelta
    >>> now = datetime.now().astimezone()
    >>> ago(now - timedelta(minutes=2), now), ago(now + timedelta(hours=1), now)
    ('2 min ago', 'in 1 h')
    """
    seconds = (now - at).total_seconds()
    if abs(seconds) < 1:
        return "just now" if seconds >= 0 else "now"
    seconds = round(seconds)
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


def count(number: int, thing: str, things: str = "") -> str:
    """Say how many there are.

    >>> count(1, "task"), count(1200, "task"), count(2, "process", "processes")
    ('1 task', '1,200 tasks', '2 processes')
    """
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"


def json_text(value: Any, most: int = 0) -> str:
    """Return a JSON value in one line, cut after `most` characters if that is given."""
    text = plain(msgspec.json.encode(value).decode())
    return text if not most or len(text) <= most else text[: most - 1] + "…"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[list[str]]:
    """Return rows whose cells are as wide as their columns, those that are named by their place aligned `right`.

    >>> aligned([("a", "1"), ("bcd", "10")], right=(1,))
    [['a  ', ' 1'], ['bcd', '10']]
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        [
            cell.rjust(width) if place in right else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]


def lines(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows of cells as lines of aligned columns."""
    return ["  ".join(row).rstrip() for row in aligned(rows, right)]
