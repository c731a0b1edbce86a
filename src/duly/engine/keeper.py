"""Whoever keeps a store in order: ended tasks leave it when their time is over, in steps that nobody notices.

A step is one short read or one short transaction, done in the store's thread between exchanges, and followed by a rest
of many times its length. One process does it for all; should it end, in whatever step, another begins from the front.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from duly.core.keeping import NEVER, Aged, Calendar, Keep, Stretch, sort_out
from duly.errors import StoreError
from duly.ports import Store

log = logging.getLogger("duly.node")

LOOK = 2_000
"""Tasks that are looked at in one step."""

WRITE = 200
"""Tasks that are emptied, or removed, in one transaction: some 3 ms."""

CHUNKS = 8
"""Pieces of large values, of 1 MiB at most, that are deleted in one transaction."""

RESTS = 9
"""Each step is followed by a rest of so many times its length: it takes a tenth of the store's time at most."""

SECOND = 1.0
MOST_SECONDS = 60.0
"""Seconds between two looks at what is due."""

ELSEWHERE_SECONDS = 5.0
"""Seconds until it is looked again whether somebody else keeps the store in order."""

TROUBLE_SECONDS = 30.0
"""Seconds until it is tried again, where the disk is full, say."""


class Tidied(NamedTuple):
    """How many tasks were emptied, and how many removed."""

    emptied: int
    removed: int


def noted(store: Store) -> dict[tuple[str, int], Keep]:
    """Return for how long tasks are kept by (action, version), as the worker said that began last."""
    keeps = store.keeping()
    return {(lane.action, lane.version): keeps[lane.number] for lane in store.lanes() if lane.number in keeps}


def note(store: Store, told: list[tuple[str, int, Keep]]) -> None:
    """Note for how long tasks are kept, and log what was noted otherwise: it may be another worker's."""
    before = noted(store)
    store.keeping(told)
    news = [(name, before[name, version], keep) for name, version, keep in told if (name, version) in before]
    changed = [f"{name} for {keep} (until now {was})" for name, was, keep in news if was != keep]
    if changed:
        log.warning("tasks are kept otherwise from now on, as this worker is set: %s", "; ".join(changed))


class Keeper:
    """Keeps one store in order, by steps; `other` says how, where no worker has spoken for an action."""

    def __init__(self, other: Keep, now: Callable[[], int]) -> None:
        self._other = other
        self._now = now
        self._begin_anew()
        self.tidied = Tidied(0, 0)

    def _begin_anew(self) -> None:
        self._calendar = Calendar()
        self._keeps: dict[int, Keep] | None = None
        self._keeps_at = 0
        self._empty: list[tuple[int, int]] = []
        self._emptied: list[int] = []
        self._chunks: list[int] = []
        self._remove: list[int] = []

    def step(self, store: Store) -> float:
        """Do the next step, if it is due and nobody else does it; return after how many seconds the next may be."""
        began = time.monotonic()
        try:
            if not store.tidy():
                return ELSEWHERE_SECONDS
            rest = self.advance(store)
        except StoreError as error:
            log.warning("what has ended long ago could not be removed: %s", error)
            self._begin_anew()
            return TROUBLE_SECONDS
        return max(rest, RESTS * (time.monotonic() - began))

    def advance(self, store: Store) -> float:
        """Do the next step, whoever else does; return how long nothing else is due, in seconds."""
        if self._writes(store):
            return 0.0
        now = self._now()
        self._learn(store, now)
        calendar = self._calendar
        if calendar.end_due <= now and calendar.end_is_next():
            self._look_further(store, now)
        elif (stretch := calendar.take(now)) is not None:
            self._look_again(store, stretch, now)
        elif calendar.end_due > now:
            return min(MOST_SECONDS, max(SECOND, (calendar.next_due() - now) / 1e6))
        return 0.0

    def count(self, store: Store) -> Tidied:
        """Count what is due, and change nothing; reads all there is, a little at a time."""
        keeps, counted, after = store.keeping(), Tidied(0, 0), 0
        while tasks := store.survey(after, NEVER, LOOK):
            due = sort_out(tasks, keeps, self._other, self._now())
            counted = Tidied(counted.emptied + len(due.empty), counted.removed + len(due.remove))
            after = tasks[-1].key
        return counted

    # writing
    def _writes(self, store: Store) -> bool:
        """Do the next piece of what is to be done; False if nothing is."""
        if self._chunks:
            store.drop_chunks(self._chunks[:CHUNKS])
            del self._chunks[:CHUNKS]
        elif self._emptied:
            if not store.drop_history(self._emptied):
                self._emptied = []
        elif self._empty:
            tasks, self._empty = self._empty[:WRITE], self._empty[WRITE:]
            self._chunks = store.empty(tasks)
            self._emptied = [key for key, _ in tasks]
            self.tidied = self.tidied._replace(emptied=self.tidied.emptied + len(tasks))
        elif self._remove:
            keys = self._remove[:WRITE]
            if not store.drop_history(keys):  # what a crash or a late answer has left
                self.tidied = self.tidied._replace(removed=self.tidied.removed + store.remove(keys))
                del self._remove[:WRITE]
        else:
            return False
        return True

    # looking
    def _learn(self, store: Store, now: int) -> None:
        """Learn for how long tasks are kept, now and then; where that has changed all are looked through again."""
        if self._keeps is not None and now - self._keeps_at < MOST_SECONDS * 1e6:
            return
        keeps = store.keeping()
        self._keeps_at = now
        if keeps != self._keeps:
            self._begin_anew()
            self._keeps, self._keeps_at = keeps, now

    def _shortest(self) -> int:
        return min(keep.shortest for keep in [self._other, *(self._keeps or {}).values()])

    def _look_again(self, store: Store, stretch: Stretch, now: int) -> None:
        """Look through a stretch that is due, together with the next one if little is left of both."""
        further = self._calendar.take_next(stretch)
        tasks = store.survey(stretch.after, stretch.upto if further is None else further.upto, LOOK + 1)
        if further is not None and len(tasks) > LOOK:
            self._calendar.add(further)
            tasks, further = [task for task in tasks if task.key <= stretch.upto], None
        upto = stretch.upto if further is None else further.upto
        due = self._sort_out(tasks, now)
        if len(self._remove) < len(tasks):
            self._calendar.add(Stretch(due, stretch.after, upto))

    def _look_further(self, store: Store, now: int) -> None:
        """Look at tasks that were not looked at yet, up to those that are too young for anything to be due."""
        calendar, shortest = self._calendar, self._shortest()
        if shortest >= NEVER:
            calendar.end_due = NEVER
            return
        tasks = store.survey(calendar.end, NEVER, LOOK + 1)
        old = [task for task in tasks[:LOOK] if task.submitted + shortest <= now]
        due = self._sort_out(old, now)
        if len(old) == LOOK and len(tasks) > LOOK:
            if len(self._remove) < LOOK:
                calendar.add(Stretch(due, calendar.end, old[-1].key))
            calendar.end = old[-1].key
            return  # until there are enough of them for a stretch they are looked at together with those to come
        beyond = tasks[len(old)].submitted + shortest if len(tasks) > len(old) else now + shortest
        calendar.end_due = max(now + round(SECOND * 1e6), min(due, beyond))
        if len(tasks) == len(old):
            self._remove = [key for key in self._remove if key != tasks[-1].key]  # the newest stays

    def _sort_out(self, tasks: list[Aged], now: int) -> int:
        due = sort_out(tasks, self._keeps or {}, self._other, now)
        self._empty, self._remove = due.empty, due.remove
        return due.next
