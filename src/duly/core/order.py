"""What runs first: two integers, `(band, rank)`, the lower the sooner.

A band is a priority. Within a band come, in this order: what was placed at the front (newest first), what has
a deadline near (earliest first), and the rest, first come first served. Each of these three places owns a range of
ranks, so that SQL needs nothing but `ORDER BY band, rank`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from duly.core.action import Priority
from duly.errors import OptionInvalid


class Band(IntEnum):
    """A priority as it is stored."""

    HIGH = 0
    MEDIUM = 1
    LOW = 2


class Place(IntEnum):
    """Where in its band a task is put."""

    FRONT = 0
    DEADLINE = 1
    BACK = 2


_BANDS: dict[str, Band] = {"high": Band.HIGH, "medium": Band.MEDIUM, "low": Band.LOW}

BACK_BASE = 1 << 60
"""Ranks from here on are at the back; deadlines in microseconds lie far below, fronts below zero."""


def band_of(priority: Priority | str) -> Band:
    """Return the band of a priority's name, or raise `OptionInvalid`."""
    try:
        return _BANDS[priority]
    except (KeyError, TypeError):
        raise OptionInvalid(f"bad priority {priority!r}: high, medium or low") from None


class RankTerms(NamedTuple):
    """A rank but for the moment that only the store knows: `base + sign * max(moment, floor)`."""

    base: int
    sign: int
    floor: int

    def at(self, moment: int) -> int:
        """Return the rank of a task that is stored at this moment."""
        return self.base + self.sign * max(moment, self.floor)


def rank_terms(
    place: Place, *, due: int | None = None, delay: int | None = None, deadline: int | None = None
) -> RankTerms:
    """Return the terms of a rank; all times in microseconds of the store's clock, a `delay` from when it is stored.

    Two tasks at the back stand as they came: a store in a file gives each a moment of its own, and where several of a
    server's have the same one, the key decides.
    """
    match place:
        case Place.FRONT:
            return RankTerms(0, -1, 0)
        case Place.DEADLINE if deadline is not None:
            return RankTerms(deadline, 0, 0)
        case _:
            return RankTerms(BACK_BASE + (delay or 0), 1, due or 0)


def lowered(band: int) -> int:
    """Return the next lower band, or the lowest."""
    return min(band + 1, Band.LOW)
