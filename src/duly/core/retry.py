"""When a failed attempt is tried again."""

from __future__ import annotations

import msgspec

from duly.errors import OptionInvalid


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
        if self.first < 0 or self.factor < 1 or self.most < self.first:
            raise OptionInvalid(f"{self!r}: needs 0 <= first <= most and factor >= 1")

    def wait(self, failures: int, dice: float) -> float:
        """Return the seconds to wait after this many failures in a row; `dice` is uniform in [0, 1)."""
        try:
            longest = min(self.most, self.first * self.factor ** max(failures - 1, 0))
        except OverflowError:
            longest = self.most
        return float(longest * dice if self.jitter else longest)
