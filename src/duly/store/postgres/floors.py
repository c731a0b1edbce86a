"""Where a claim begins to read: behind what was claimed before, since rows that are dead may still lie there.

While somebody anywhere in the database holds an old snapshot, no row that ends can be removed, and each claim would
read past all that were ever claimed. So of what is at the back of its band a claim begins at the first task that the
last one found, the floor. What comes to be ready below it, being retried, rescued or dated, is found by an index that
holds nothing else; what was committed long after it was submitted, as in a long transaction of its submitter's, by
reading the whole: once in a while, and soon where a claim found nothing, since then nothing is ahead of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duly.core.order import BACK_BASE
from duly.store.rows import text

WHOLE_MICROSECONDS = 10_000_000
"""After so long a claim reads all that is ready."""

SOON_MICROSECONDS = 1_000_000
"""The same, after one that found nothing: that often also a node without work looks by itself."""

LATE_MICROSECONDS = 2_000_000
"""Floors stay so far behind the present, in which tasks are committed in another order than they were submitted."""

_FIRST, _LAST = (-1, 0), (1 << 14, 0)


class Floors:
    """The floors of lanes and bands, as one who claims has found them; times are the store's."""

    def __init__(self) -> None:
        self._floors: dict[int, dict[int, int]] = {}
        self._since = self._now = 0
        self._in_vain = False

    def ranges(self, lanes: Iterable[int]) -> dict[str, str]:
        """Return what to read of lanes: `ranges` as a whole, and of `gaps` what is ready once more, or dated.

        Both are rows of (lane, band and rank of the begin, of the end).
        """
        ranges, gaps = [], []
        for lane in lanes:
            begin: tuple[int, int] = _FIRST
            for band, floor in sorted(self._floors.get(lane, {}).items()):
                ranges.append((lane, *begin, band, BACK_BASE))
                gaps.append((lane, band, BACK_BASE, band, floor))
                begin = (band, floor)
            ranges.append((lane, *begin, *_LAST))
        return {"ranges": text(ranges) or "[]", "gaps": text(gaps) or "[]"}

    def begin(self, now: int) -> None:
        """Begin a claim, with all floors given up if it is to read the whole."""
        every = SOON_MICROSECONDS if self._in_vain else WHOLE_MICROSECONDS
        if now - self._since >= every or self._now - now > LATE_MICROSECONDS:  # or it was set back
            self._floors.clear()
            self._since = now
        self._now = now

    def found(self, first: Sequence[tuple[int, int, int]], now: int) -> None:
        """Raise floors to what a claim found first just now, as (lane, band, rank)."""
        self._in_vain = not first
        for lane, band, rank in first:
            self._floors.setdefault(lane, {})[band] = min(rank, BACK_BASE + now - LATE_MICROSECONDS)
