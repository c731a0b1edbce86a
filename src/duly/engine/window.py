"""What a node holds claimed and has not handed to a runner: an ordered heap, so that an urgent newcomer overtakes."""

from __future__ import annotations

from heapq import heappop, heappush

from duly.core.estimate import RunTime, ahead
from duly.engine.attempt import Attempt


class Window:
    """Claimed attempts that wait, in their order, and what was learned of run times."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Attempt]] = []
        self._typical = RunTime()
        self._by_lane: dict[int, RunTime] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def time_of(self, lane: int) -> RunTime:
        """What was learned of the run times of a lane."""
        time = self._by_lane.get(lane)
        if time is None:
            time = self._by_lane[lane] = RunTime()
        return time

    def observe(self, attempt: Attempt, seconds: float) -> None:
        """An attempt ran for so long."""
        attempt.time.observe(seconds)
        self._typical.observe(seconds)

    def put(self, attempt: Attempt) -> None:
        """Hold an attempt."""
        held = attempt.held
        heappush(self._heap, (held.band, held.rank, held.key, attempt))

    def first(self) -> Attempt:
        """The most urgent of those held."""
        return self._heap[0][3]

    def pop(self) -> Attempt:
        """Take the most urgent of those held."""
        return heappop(self._heap)[3]

    def all(self) -> list[Attempt]:
        """All that is held."""
        return [entry[3] for entry in self._heap]

    def take_all(self) -> list[Attempt]:
        """Take all that is held."""
        taken, self._heap = self.all(), []
        return taken

    def remove(self, key: int) -> Attempt | None:
        """Take one task's attempt, if it is held."""
        for entry in self._heap:
            if entry[2] == key:
                self._heap.remove(entry)
                self._heap.sort()
                return entry[3]
        return None

    def room(self, runners: int, idle: int) -> int:
        """How many more to claim: one for each idle runner, and some ahead if tasks are short."""
        return max(0, max(idle, ahead(runners, self._typical.seconds)) - len(self._heap))

    def worst(self) -> tuple[int, int] | None:
        """The (band, rank) of the least urgent one held."""
        return max(self._heap)[:2] if self._heap else None


class Waiting:
    """The attempts that a node has claimed and not handed over: what runs one at a time, and what many at a time."""

    def __init__(self) -> None:
        self.alone = Window()
        self.shared = Window()

    def __len__(self) -> int:
        return len(self.alone) + len(self.shared)

    def of(self, attempt: Attempt) -> Window:
        """Where attempts of its kind wait."""
        return self.shared if attempt.isolation == "shared" else self.alone

    def put(self, attempt: Attempt) -> None:
        """Hold an attempt."""
        (self.shared if attempt.isolation == "shared" else self.alone).put(attempt)

    def all(self) -> list[Attempt]:
        """All that is held."""
        return [*self.alone.all(), *self.shared.all()]

    def take_all(self) -> list[Attempt]:
        """Take all that is held."""
        return [*self.alone.take_all(), *self.shared.take_all()]

    def remove(self, key: int) -> Attempt | None:
        """Take one task's attempt, if it is held."""
        return self.alone.remove(key) or self.shared.remove(key)
