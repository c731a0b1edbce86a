"""Moving all that one store keeps to another, which is empty: read there, stored here, and compared at the end.

From its beginning both stores refuse whoever else would write: what is read does not change while it is copied, and
nobody works on half of it. Each batch is a transaction; who was interrupted says the same again, and it goes on after
the last task that has come. The source stays closed when all is done: a submitter who was forgotten is told where it
went, instead of leaving tasks where nobody works.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from duly.core.record import Move, Record
from duly.errors import OptionInvalid, StoreBusy, StoreError, StoreMoved
from duly.ports import Filter, Inventory, Store

MOST = 2_000
"""Tasks that are carried over in one transaction."""

_encode = msgspec.json.encode


class CopyInVain(StoreError):
    """The same copy would not go on with what has come: it is not what the source has."""


class Table(NamedTuple):
    """What of a kind a store keeps: how many, and the SHA-256 of all of them, each as JSON in a line, in order."""

    name: str
    rows: int
    checksum: str


class Carried(NamedTuple):
    """What was carried from one store to another, or would be; `resumed`: an interrupted copy had begun with it."""

    source: str
    target: str
    tables: list[Table]
    resumed: bool
    seconds: float


class Progress(NamedTuple):
    """How far it is: what is being done, with so many tasks of how many at most."""

    what: str
    done: int
    of: int


class Sums:
    """Counts and checksums of what a store keeps, table by table."""

    def __init__(self, inventory: Inventory) -> None:
        self._counts: dict[str, int] = {}
        self._hashes: dict[str, Any] = {}
        for name, rows in inventory._asdict().items():
            self._add(name, rows)
        self._add("tasks", ())
        self._add("events", ())

    def add(self, record: Record) -> None:
        """Take in a task and its history."""
        *columns, runs = msgspec.structs.astuple(record)
        self._add("tasks", (columns,))
        self._add("events", [(record.key, *run) for run in runs])

    def _add(self, name: str, rows: Sequence[Any]) -> None:
        self._counts[name] = self._counts.get(name, 0) + len(rows)
        found = self._hashes.setdefault(name, hashlib.sha256())
        for row in rows:
            found.update(_encode(row) + b"\n")

    def tables(self) -> list[Table]:
        """Return them."""
        return [Table(name, count, self._hashes[name].hexdigest()) for name, count in self._counts.items()]


class Mover:
    """Carries all from one store to another; both are open, and nobody else uses these two. `names` are their urls.

    Without a target it can only say what it would do.
    """

    def __init__(self, source: Store, target: Store | None, names: tuple[str, str]) -> None:
        self._source = source
        self._target = target
        self._names = names
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._steps = self._carry() if target is not None else self._count()
        self._resumed = False
        self._sums: Sums | None = None

    def step(self) -> Progress | None:
        """Do the next step; None if there is none left."""
        with self._lock:
            return next(self._steps, None)

    def only_look(self) -> None:
        """Read what would be carried over, and change nothing."""
        self._steps = self._count()

    def carried(self) -> Carried:
        """Return what came of it, when all steps are done."""
        assert self._sums is not None
        return Carried(*self._names, self._sums.tables(), self._resumed, time.monotonic() - self._began)

    # a fork would leave its child what a store keeps in memory of locks and connections
    def before_fork(self) -> None:
        """Let go of the stores; the next step opens them again."""
        self._lock.acquire()
        for store in (self._source, self._target):
            if store is not None:
                store.let_go()

    def after_fork(self) -> None:
        """Go on."""
        self._lock.release()

    # what stands against it
    def look(self) -> None:
        """Raise what stands against it, and change nothing."""
        refuse_source(self._source, self._names[0])
        ours, theirs = self._source.moving(), self._target.moving() if self._target is not None else None
        if ours is not None and theirs is not None and (ours.id, "coming") == (theirs.id, theirs.what):
            self._resumed = True
        elif ours is not None and ours.what == "left":
            raise StoreMoved(f"{self._names[0]}: {ours}")
        elif theirs is not None:
            raise StoreMoved(f"{self._names[1]}: {theirs}; if that was given up, remove what has come, and copy again")
        elif self._target is not None:
            self._refuse_full(self._target)

    def _refuse_full(self, target: Store) -> None:
        there = [name for name, rows in target.inventory()._asdict().items() if rows]
        if there or target.dump(0, 1):
            raise OptionInvalid(f"{self._names[1]}: has {', '.join(there) or 'tasks'} already; name an empty store")

    # doing it
    def _carry(self) -> Iterator[Progress]:
        source, target = self._source, self._target
        assert target is not None
        self.look()
        if not self._resumed:
            self._close_both(source, target)
        target.load([], source.inventory())
        newest = target.tasks(Filter(), "newest", None, 1)
        far = _Far(source, "copied")
        for records in _pages(source, newest[0].key if newest else 0):
            self._own_move(source, target)
            target.load(records)
            yield far.upto(records)
        yield from self._compare(source, target)
        move = self._own_move(source, target)
        source.move(move._replace(what="left", other=self._names[1]))  # first: never are both open
        target.move(None)

    def _close_both(self, source: Store, target: Store) -> None:
        """Have nobody else write from now on; whoever is refused leaves both as they were."""
        before = source.moving()
        move = Move(os.urandom(8).hex(), "leaving", self._names[1])  # a new one: who began before is no target of this
        source.move(move)
        try:
            refuse_source(source, self._names[0])  # again: who has come meanwhile is known now
            self._close_target(target, move)
        except BaseException:
            with suppress(StoreError):
                source.move(before)
            raise

    def _close_target(self, target: Store, move: Move) -> None:
        if target.moving() is not None:
            raise OptionInvalid(f"{self._names[0]} and {self._names[1]} are the same store")
        target.move(Move(move.id, "coming", self._names[0]))
        try:
            self._refuse_full(target)
        except BaseException:
            with suppress(StoreError):
                target.move(None)
            raise

    def _own_move(self, source: Store, target: Store) -> Move:
        """Return the source's part of this move; raises `CopyInVain` if somebody has opened the source meanwhile."""
        ours, theirs = source.moving(), target.moving()
        if ours is None or theirs is None or ours.id != theirs.id:
            here, there = self._names
            raise CopyInVain(
                f"{here}: was opened again while it was copied, so {there} may lack what came since; remove what is "
                "there, and copy again"
            )
        return ours

    def _compare(self, source: Store, target: Store) -> Iterator[Progress]:
        """Read both to their ends; raises `StoreError` where they differ."""
        ours, theirs = Sums(source.inventory()), Sums(target.inventory())
        far = _Far(source, "compared")
        first = ""
        for there, here in zip_longest(_records(source), _records(target)):
            if there is not None:
                ours.add(there)
            if here is not None:
                theirs.add(here)
            if there != here:
                first = first or str(getattr(there or here, "id", ""))
            if there is not None and far.is_time():
                yield far.upto([there])
        if ours.tables() != theirs.tables():
            self._own_move(source, target)
            raise CopyInVain(self._difference(ours, theirs, first))
        self._sums = ours

    def _difference(self, ours: Sums, theirs: Sums, first: str) -> str:
        told = [
            f"{one.name}: {one.rows:,} there, {another.rows:,} here"
            for one, another in zip(ours.tables(), theirs.tables(), strict=True)
            if one != another
        ]
        return (
            f"{self._names[1]}: is not what {self._names[0]} is ({'; '.join(told)}"
            + (f"; the first that differs is task {first}" if first else "")
            + "); remove it and copy again, `duly copy --reopen` opens the store that it came from"
        )

    def _count(self) -> Iterator[Progress]:
        self.look()
        sums, far = Sums(self._source.inventory()), _Far(self._source, "read")
        for records in _pages(self._source, 0):
            for record in records:
                sums.add(record)
            yield far.upto(records)
        self._sums = sums


class _Far:
    """Tells how far it is, by keys: how many tasks there are is known to nobody who has not read them all."""

    def __init__(self, store: Store, what: str) -> None:
        oldest = store.dump(0, 1)
        self._what = what
        self._before = oldest[0].key - 1 if oldest else 0
        self._of = store.submitted() - self._before
        self._seen = 0

    def is_time(self) -> bool:
        """Whether it is to be told now: once in a while."""
        self._seen += 1
        return self._seen % MOST == 0

    def upto(self, records: Sequence[Record]) -> Progress:
        """Tell it, with these as the last."""
        done = records[-1].key - self._before
        return Progress(self._what, done, max(done, self._of))


def refuse_source(source: Store, name: str) -> None:
    """Raise why a store cannot be moved: somebody works on it, or it is not complete itself."""
    move = source.moving()
    if move is not None and move.what == "coming":
        raise StoreMoved(f"{name}: {move}")
    dead = {node.number for node in source.dead()}
    for node in source.nodes():
        if node.number not in dead:
            late = f"; if it was killed, it is given up after {source.lease:g} s" if source.lease is not None else ""
            raise StoreBusy(f"{name}: {node.label or node.name} works on it: end that first{late}")


def reopen(store: Store) -> bool:
    """Have a store that was closed for its move take tasks again; whether it was closed."""
    move = store.moving()
    if move is not None and move.what == "coming":
        raise StoreMoved(f"it {move}")
    store.move(None)
    return move is not None


def _pages(store: Store, after: int) -> Iterator[list[Record]]:
    while records := store.dump(after, MOST):
        yield records
        after = records[-1].key


def _records(store: Store) -> Iterator[Record]:
    for records in _pages(store, 0):
        yield from records
