"""When a failed attempt is tried again."""

from __future__ import annotations

import math

import msgspec

from duly.errors import OptionInvalid

LONGEST = 366 * 86_400.0
"""Seconds that a wait may last."""


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter.

    The wait after failure n is `first * factor ** (n - 1)` seconds, at most `most`; with `jitter` a
    uniform share of that, so that tasks which failed together do not come back together (source:
    "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: full jitter does the least work).

    >>> Backoff(first=1, factor=2, most=60, jitter=False).wait(failures=4, dice=0.5)
    8.0
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 600.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if not all(type(number) in (int, float) for number in (self.first, self.factor, self.most)):
            raise OptionInvalid(f"{self!r}: first, factor and most are numbers")
        if not isinstance(self.jitter, bool):
            raise OptionInvalid(f"{self!r}: jitter is True or False")
        if not (0 <= self.first <= self.most <= LONGEST and 1 <= self.factor < math.inf):
            raise OptionInvalid(f"{self!r}: needs 0 <= first <= most <= {LONGEST:.0f} (a year) and factor >= 1")

    def wait(self, failures: int, dice: float) -> float:
        """Return the seconds to wait after this many failures in a row; `dice` is uniform in [0, 1)."""
        try:
            longest = min(self.most, self.first * float(self.factor) ** max(failures - 1, 0))
        except OverflowError:
            longest = self.most if self.first else 0.0
        return float(longest * dice if self.jitter else longest)
