"""For how long ended tasks are kept, and which of them are to be looked at again when.

A task leaves in two steps. When its time is over it is emptied: what it carried, came to and told is gone, and it is
read no more. Its id stays for an hour, so that a submit that is repeated does not run it again; then its row goes.

No index tells who is due, since each submit and each end would have to keep it up. Instead all tasks are looked through
once, a stretch of them at a time, and what is seen there tells when anything in that stretch can be due next: for most
of them that is when their time is over, for all at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from duly.core.task import ENDED, State

SECOND = 1_000_000
"""Microseconds until tasks that have not ended are looked at again, at least: where nothing is kept, too."""

HOUR = 3_600 * SECOND
"""Microseconds for which the id of an emptied task is kept."""

DAY = 24 * HOUR

NEVER = 1 << 62
"""The moment at which nothing happens any more; also a key that no task has."""


class Keep(NamedTuple):
    """For how many microseconds tasks are kept after their end: those that failed, and all others. None: for good."""

    ended: int | None = 7 * DAY
    failed: int | None = 30 * DAY

    def of(self, state: int) -> int:
        """For how long a task is kept that ended so."""
        length = self.failed if state == State.FAILED else self.ended
        return NEVER if length is None else length

    def __str__(self) -> str:
        return f"{_length(self.ended)}, failed {_length(self.failed)}"

    @property
    def shortest(self) -> int:
        """The least for which any task is kept."""
        return min(self.of(State.FAILED), self.of(State.SUCCEEDED))


def _length(length: int | None) -> str:
    if length is None:
        return "for good"
    units = [(DAY, "d"), (HOUR, "h"), (60 * SECOND, "min")]
    of, unit = next(((of, unit) for of, unit in units if length and length % of == 0), (SECOND, "s"))
    return f"{length / of:g}{unit}"


class Aged(NamedTuple):
    """What of a task tells whether its time is over; `emptied`: its id alone is left."""

    key: int
    lane: int
    state: int
    submitted: int
    ended_at: int | None
    emptied: bool


def due_at(task: Aged, keep: Keep, now: int) -> int:
    """Return the earliest moment at which the next step of its leaving can be due."""
    if task.state not in ENDED or task.ended_at is None:
        return min(NEVER, now + max(SECOND, keep.shortest))
    return min(NEVER, task.ended_at + keep.of(task.state) + (HOUR if task.emptied else 0))


class Due(NamedTuple):
    """What is to be done with tasks that were seen: who is emptied, as (key, moment of its end), and who is removed.

    `next` is when anything can be due with the others.
    """

    empty: list[tuple[int, int]]
    remove: list[int]
    next: int


def sort_out(tasks: Sequence[Aged], keeps: Mapping[int, Keep], other: Keep, now: int) -> Due:
    """Tell what is due with tasks, by the keeps of their lanes, or `other` where a lane has none."""
    empty: list[tuple[int, int]] = []
    remove: list[int] = []
    soonest = NEVER
    for task in tasks:
        at = due_at(task, keeps.get(task.lane, other), now)
        if at > now or task.ended_at is None:
            soonest = min(soonest, at)
        elif task.emptied:
            remove.append(task.key)
        else:
            empty.append((task.key, task.ended_at))
            soonest = min(soonest, max(now, at + HOUR))
    return Due(empty, remove, soonest)


class Stretch(NamedTuple):
    """Tasks with keys after one and up to another; when anything can be due with them."""

    due: int
    after: int
    upto: int


class Calendar:
    """Which stretches of all tasks are to be looked through when. What comes after `end` was not looked at yet."""

    def __init__(self) -> None:
        self.end = 0
        self.end_due = 0
        self._heap: list[Stretch] = []
        self._after: dict[int, Stretch] = {}

    def add(self, stretch: Stretch) -> None:
        """Have a stretch looked through when it is due."""
        self._after[stretch.after] = stretch
        if stretch.due < NEVER:
            heappush(self._heap, stretch)

    def take(self, now: int) -> Stretch | None:
        """Take out the stretch that has been due for the longest time, if one is."""
        while self._heap and self._heap[0].due <= now:
            stretch = heappop(self._heap)
            if self._after.get(stretch.after) is stretch:
                del self._after[stretch.after]
                return stretch
        return None

    def take_next(self, stretch: Stretch) -> Stretch | None:
        """Take out the stretch that follows upon another, to be made one with it."""
        return self._after.pop(stretch.upto, None)

    def end_is_next(self) -> bool:
        """Whether what was not looked at yet is due before any stretch."""
        return not self._heap or self.end_due <= self._heap[0].due

    def next_due(self) -> int:
        """When anything can be due next."""
        return min(self.end_due, self._heap[0].due if self._heap else NEVER)

    def __len__(self) -> int:
        return len(self._after)
