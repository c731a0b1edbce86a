"""A wall clock that a test steps, for all processes of a place at once; the monotonic clock goes on as it does."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from duly.engine.storethread import StoreThread
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.place import Place

_OFFSET = struct.Struct("q")


class Stretch(NamedTuple):
    """From one moment of the monotonic clock to another, the clock was so far ahead of that; all in microseconds."""

    begin: int
    end: int
    lead: int


class SteppedClock:
    """A file with the nanoseconds that the wall clock is ahead, and a record of what it showed when."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.write_bytes(_OFFSET.pack(0))
        with open(path, "r+b") as file:
            self._page = mmap.mmap(file.fileno(), 8)
        self._ahead = 0
        self._since = self.moment()
        self._lead = _lead()
        self._stretches: list[Stretch] = []

    def __call__(self) -> int:
        """Microseconds since 1970 as it shows them."""
        return time.time_ns() // 1000 + self._ahead

    @staticmethod
    def moment() -> int:
        """Now, by the monotonic clock."""
        return time.monotonic_ns() // 1000

    def step(self, by: int) -> None:
        """Set it by so many microseconds."""
        self._ahead += by
        _OFFSET.pack_into(self._page, 0, self._ahead * 1000)
        self._stretches.append(self._current())
        self._since, self._lead = self._stretches[-1].end, _lead() + self._ahead

    def _current(self) -> Stretch:
        return Stretch(self._since, self.moment(), self._lead)

    def stretches(self, since: int, until: int) -> Iterator[Stretch]:
        """Yield how it went between two moments."""
        for begin, end, lead in [*self._stretches, self._current()]:
            if begin <= until and since <= end:
                yield Stretch(max(begin, since), min(end, until), lead)

    def due(self, date: int, since: int, until: int) -> list[int]:
        """Return for how long at a time it showed this date or a later one between two moments."""
        found: list[tuple[int, int]] = []
        for begin, end, lead in self.stretches(since, until):
            first = max(begin, date - lead)
            if found and found[-1][1] == first == begin:
                found[-1] = found[-1][0], end
            elif first <= end:
                found.append((first, end))
        return [end - first for first, end in found]


def _lead() -> int:
    """How far the machine's wall clock is ahead of its monotonic one: of some readings the one that took least."""
    readings = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(10)]
    before, wall, after = min(readings, key=lambda reading: reading[2] - reading[0])
    return (wall - (before + after) // 2) // 1000


class SteppedPlace(Place):
    """A place whose store's clock, in all its processes, is one that a test steps."""

    def __init__(self, folder: Path, served: str) -> None:
        super().__init__(folder, served)
        self.clock = SteppedClock(folder / "clock")
        path = str(folder / "duly.db")
        self.app._thread = StoreThread(lambda: SqliteStore(path, clock=self.clock), DatagramBell, self.app.config.poll)

    def environment(self) -> dict[str, str]:
        own = super().environment()
        stepped = Path(__file__).parent / "stepped"
        return {**own, "STEPPED_CLOCK": str(self.clock.path), "PYTHONPATH": f"{stepped}:{own['PYTHONPATH']}"}
