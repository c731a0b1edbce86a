"""Tasks under way: as many as may be at a time, submitted by one thread and awaited by another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from duly.app import App
from duly.cli.outage import Outage
from duly.core.passport import Passport
from duly.ports import TaskRow

LOOK_SECONDS = 0.01
"""The shortest time between two looks."""

PATIENCE = 0.2
"""The longest time between two looks."""


class Item(NamedTuple):
    """One item: its number, from 1, and how it was given."""

    number: int
    given: bytes


class Flight:
    """Feeds items into a store while there is room, and yields tasks that have ended, with the numbers of their items.

    `make` makes the passport of an item, and raises `InvalidInput`. `most` bounds how many tasks have been submitted
    and not been taken from here. If they are `ordered`, each waits for its turn.
    """

    def __init__(self, app: App, make: Callable[[Item], Passport], most: int, *, ordered: bool) -> None:
        self._app = app
        self._make = make
        self._most = most
        self._ordered = ordered
        self._lock = threading.Condition()
        self._submitting = threading.Lock()
        self._under_way: dict[str, tuple[int, int]] = {}  # the place in the order, and the number of the item
        self._ended: dict[int, tuple[int, TaskRow]] = {}  # by place: what is still to be taken
        self._turn = 0
        self._closed = False
        self.submitted = 0
        self.fed = False
        self.error: BaseException | None = None
        self._outage = Outage()

    # the thread that feeds
    def feed(self, batches: Iterable[list[Item]]) -> None:
        """Submit all items, batch by batch, each in one transaction, as far as there is room."""
        try:
            for batch in batches:
                for items in self._portions(batch):
                    self._submit(items)
                if self._closed:
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the ends are awaited
            self.error = error
        finally:
            with self._lock:
                self.fed = True
                self._lock.notify_all()

    def _portions(self, batch: list[Item]) -> Iterator[list[Item]]:
        start = 0
        while start < len(batch) and not self._closed:
            with self._lock:
                self._lock.wait_for(lambda: self._closed or self._room() > 0)
                room = max(1, self._room())
            yield batch[start : start + room]
            start += room

    def _room(self) -> int:
        return self._most - len(self._under_way) - len(self._ended)

    def _submit(self, items: list[Item]) -> None:
        """Submit them; those before one that is refused, too."""
        passports: dict[int, Passport] = {}
        try:
            for item in items:
                passports[item.number] = self._make(item)
        finally:
            self._store(passports)

    def _store(self, passports: dict[int, Passport]) -> None:
        with self._submitting:
            if self._closed:
                return
            while self._outage.bridge(lambda: self._app.submit_many(passports.values())) is None:
                time.sleep(PATIENCE)
                if self._closed:
                    return
            with self._lock:
                for number, passport in passports.items():
                    self._under_way[passport.id] = self.submitted, number
                    self.submitted += 1
                self._lock.notify_all()

    # the thread that waits
    def __iter__(self) -> Iterator[list[tuple[int, TaskRow]]]:
        """Yield what has ended, also nothing, until all has."""
        while not self._over():
            for row in self._look():
                with self._lock:
                    place, number = self._under_way.pop(row.id)
                    self._ended[place] = number, row
            yield list(self._taken())

    def _over(self) -> bool:
        with self._lock:
            return (self.fed or self._closed) and not self._under_way and not self._ended

    def _look(self) -> list[TaskRow]:
        with self._lock:
            if not self._under_way and not self.fed:
                self._lock.wait(PATIENCE)
            ids = list(self._under_way)
        if not ids:
            return []
        time.sleep(LOOK_SECONDS)
        return self._outage.bridge(lambda: self._app.ended(ids, PATIENCE)) or []

    def _taken(self) -> Iterator[tuple[int, TaskRow]]:
        """Take what may be taken; that makes room."""
        with self._lock:
            if not self._ordered:
                yield from self._ended.values()
                self._ended.clear()
            while self._turn in self._ended:
                yield self._ended.pop(self._turn)
                self._turn += 1
            self._lock.notify_all()

    def close(self, reason: str) -> int:
        """Submit nothing more, and cancel what has not ended; returns how many that are."""
        self._closed = True
        with self._lock:
            self._lock.notify_all()
        with self._submitting:  # what is just being submitted is cancelled, too
            ids = list(self._under_way)
        self._app.cancel_all(ids, reason)
        return len(ids)

    @property
    def under_way(self) -> int:
        """How many are known not to have ended."""
        return len(self._under_way)
