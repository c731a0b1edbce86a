"""Moving a store: what stands against it, what is found to differ, and that nothing is ever open on both sides."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec
import pytest

from duly.core.record import Move, Record, What
from duly.engine import forks, mover
from duly.engine.mover import Carried, CopyInVain, Mover, refuse_source, reopen
from duly.errors import OptionInvalid, StoreBusy, StoreError, StoreMoved
from duly.ports import Inventory, Request
from duly.store.postgres.store import PostgresStore
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
from duly.testing.store_moves import dumped, fill
from tests.helpers import eventually

Open = Callable[..., SqliteStore]


@pytest.fixture
def open_store(tmp_path: Path, use: Open) -> Open:
    numbers = count()

    def open_it(path: str = "", kind: type[SqliteStore] = SqliteStore) -> SqliteStore:
        return use(kind(path or f"{tmp_path}/{next(numbers)}.db"))

    return open_it


@pytest.fixture
def source(open_store: Open) -> SqliteStore:
    store = open_store()
    fill(Hands(store))
    return store


@pytest.fixture
def target(open_store: Open) -> SqliteStore:
    return open_store()


def move(source: SqliteStore, target: SqliteStore | None) -> Carried:
    moving = mover_of(source, target)
    while moving.step():
        pass
    return moving.carried()


def mover_of(source: SqliteStore, target: SqliteStore | None) -> Mover:
    return Mover(source, target, ("source", "target"))


def what(*stores: SqliteStore) -> list[str | None]:
    moves = [store.moving() for store in stores]
    return [one and one.what for one in moves]


def test_all_is_moved_and_counted(source: SqliteStore, target: SqliteStore) -> None:
    before, inventory = dumped(source), source.inventory()
    carried = move(source, target)
    assert (dumped(target), target.inventory()) == (before, inventory)
    rows = {table.name: table.rows for table in carried.tables}
    assert rows == {
        "lanes": 2, "pauses": 2, "keeping": 2, "nodes": 1, "tasks": 12, "events": sum(len(one.runs) for one in before)
    }  # fmt: skip
    assert len({table.checksum for table in carried.tables}) == 6
    assert what(source, target) == ["left", None]
    assert not carried.resumed


def test_to_look_is_to_change_nothing(source: SqliteStore, target: SqliteStore, open_store: Open) -> None:
    for taker in (None, target):
        moving = mover_of(source, taker)
        moving.only_look()
        while moving.step():
            pass
        assert moving.carried().tables[4].rows == 12
    assert what(source, target) == [None, None]
    assert dumped(target) == []
    assert moving.carried().tables == move(source, target).tables


def test_while_somebody_works_on_it_nothing_is_moved(source: SqliteStore, target: SqliteStore) -> None:
    number = source.enlist("busy", "", "worker of ann")
    with pytest.raises(StoreBusy, match=r"worker of ann works on it: end that first$"):
        move(source, target)
    assert what(source, target) == [None, None]
    source.leave(number)
    move(source, target)


def test_who_was_killed_on_a_server_is_waited_for(database: str, use: Open) -> None:
    store, killed = (use(PostgresStore(database, lease=2.0)) for _ in range(2))
    killed.enlist("killed", "", "worker of ann")
    with pytest.raises(StoreBusy, match=r"worker of ann works on it: .* it is given up after 2 s"):
        refuse_source(store, "source")
    eventually(store.dead)
    refuse_source(store, "source")


def test_who_comes_at_the_last_moment_goes_on(source: SqliteStore, open_store: Open, tmp_path: Path) -> None:
    class Late(SqliteStore):
        """Empty when it is looked at, and used before it is closed."""

        def move(self, move: Move | None) -> None:
            if move is not None:
                Hands(self).submit()
            super().move(move)

    target = open_store(kind=Late)
    with pytest.raises(OptionInvalid, match="target: has lanes already; name an empty store"):
        move(source, target)
    assert what(source, target) == [None, None]
    assert len(dumped(target)) == 1


def test_a_worker_that_comes_at_the_last_moment_goes_on(open_store: Open, target: SqliteStore) -> None:
    class Late(SqliteStore):
        def move(self, move: Move | None) -> None:
            if move is not None:
                self.enlist("late", "", "")
            super().move(move)

    source = open_store(kind=Late)
    with pytest.raises(StoreBusy):
        move(source, target)
    assert what(source, target) == [None, None]
    assert source.exchange(Request(node=1, number=1)).done


def test_a_store_that_is_used_is_no_target(source: SqliteStore, target: SqliteStore) -> None:
    target.pause("queue", "default")
    with pytest.raises(OptionInvalid, match="target: has pauses already"):
        move(source, target)
    assert what(source, target) == [None, None]


def test_a_store_does_not_move_to_itself(open_store: Open) -> None:
    source = open_store()
    with pytest.raises(OptionInvalid, match="source and target are the same store"):
        move(source, open_store(source.path))
    assert what(source) == [None]


def test_who_was_interrupted_goes_on(source: SqliteStore, target: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "MOST", 1)
    before = dumped(source)
    for steps in range(1, 30, 4):
        moving = mover_of(source, target)
        for _ in range(steps):
            if moving.step() is None:
                break
        else:
            assert what(source, target) == ["leaving", "coming"]
            assert dumped(target) == before[: len(dumped(target))]
            continue
        assert moving.carried().resumed
        break
    assert dumped(target) == before
    assert what(source, target) == ["left", None]


@pytest.mark.parametrize(("ours", "theirs"), [("leaving", None), ("leaving", "coming")])
def test_who_was_interrupted_at_the_beginning_goes_on(
    source: SqliteStore, target: SqliteStore, ours: What, theirs: What | None
) -> None:
    before = dumped(source)
    source.move(Move("one", ours, "elsewhere"))
    target.move(theirs and Move("one", theirs, "source"))
    assert move(source, target).resumed is (theirs is not None)
    assert dumped(target) == before
    left = source.moving()
    assert left == Move("one" if theirs else left.id, "left", "target")


def test_who_was_interrupted_at_the_very_end_goes_on(source: SqliteStore, target: SqliteStore) -> None:
    before = dumped(source)
    move(source, target)
    left = source.moving()
    assert left is not None
    target.move(left._replace(what="coming"))
    assert move(source, target).resumed
    assert what(source, target) == ["left", None]
    assert dumped(target) == before


def test_never_are_both_open(source: SqliteStore, open_store: Open) -> None:
    class Stuck(SqliteStore):
        def move(self, move: Move | None) -> None:
            if move is None:
                raise StoreError("no")
            super().move(move)

    target = open_store(kind=Stuck)
    with pytest.raises(StoreError, match="no"):
        move(source, target)
    assert what(source, target) == ["left", "coming"]


def test_what_has_moved_elsewhere_meanwhile_opens_no_second_target(
    source: SqliteStore, target: SqliteStore, open_store: Open
) -> None:
    interrupted = mover_of(source, target)
    while target.moving() is None:
        interrupted.step()
    other = open_store()
    move(source, other)
    with pytest.raises(StoreMoved, match="source: was moved to"):
        move(source, target)
    assert [*what(source, target), other.moving()] == ["left", "coming", None]


def test_what_was_moved_is_not_moved_again(source: SqliteStore, target: SqliteStore, open_store: Open) -> None:
    move(source, target)
    for taker in (target, open_store()):
        with pytest.raises(StoreMoved, match="source: was moved to target"):
            move(source, taker)
    assert what(source, target) == ["left", None]


def test_what_another_copy_has_begun_is_no_target_and_no_source(
    source: SqliteStore, target: SqliteStore, open_store: Open
) -> None:
    target.move(Move("another", "coming", "third"))
    with pytest.raises(StoreMoved, match="target: is not complete: it is being copied from third"):
        move(source, target)
    with pytest.raises(StoreMoved, match="source: is not complete"):
        move(target, open_store())
    with pytest.raises(StoreMoved, match="is not complete"):
        reopen(target)
    assert what(source, target) == [None, "coming"]


def test_a_difference_is_found_and_both_stay_closed(source: SqliteStore, open_store: Open) -> None:
    class Sloppy(SqliteStore):
        def load(self, records: list[Record], inventory: Inventory | None = None) -> None:  # type: ignore[override]
            wrong = [msgspec.structs.replace(one, rank=7) if one.band == 2 else one for one in records]
            super().load(wrong, inventory)

    target = open_store(kind=Sloppy)
    low = next(one.id for one in dumped(source) if one.band == 2)
    with pytest.raises(StoreError, match=rf"target: is not .* \(tasks: 12 there, 12 here; .* task {low}\)"):
        move(source, target)
    assert what(source, target) == ["leaving", "coming"]


def test_a_lost_task_is_found(source: SqliteStore, open_store: Open) -> None:
    class Sloppy(SqliteStore):
        def load(self, records: list[Record], inventory: Inventory | None = None) -> None:  # type: ignore[override]
            super().load(records[:-1], inventory)

    with pytest.raises(StoreError, match=r"tasks: 12 there, 11 here"):
        move(source, open_store(kind=Sloppy))


def test_a_store_is_opened_again(source: SqliteStore, target: SqliteStore) -> None:
    moving = mover_of(source, target)
    moving.step()
    assert reopen(source)
    assert not reopen(source)
    assert what(source, target) == [None, "coming"]
    Hands(source).submit()
    with pytest.raises(StoreMoved, match=r"target: is not complete.*; if that was given up, remove what has come"):
        move(source, target)


@pytest.mark.parametrize("steps", [1, 12, 13, 24])
def test_a_store_that_is_opened_again_while_it_is_copied_ends_that(
    source: SqliteStore, target: SqliteStore, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    """After the first and the last task that was copied, and after the first and the last that was compared."""
    monkeypatch.setattr(mover, "MOST", 1)
    moving = mover_of(source, target)
    told = [moving.step() for _ in range(steps)][-1]
    assert told is not None
    assert told.what == ("copied" if steps <= 12 else "compared")
    reopen(source)
    if steps < 24:
        Hands(source).submit()
    with pytest.raises(CopyInVain, match="source: was opened again while it was copied, so target may lack what came"):
        list(iter(moving.step, None))
    assert what(source, target) == [None, "coming"]


def test_a_fork_comes_between_two_steps(source: SqliteStore, target: SqliteStore) -> None:
    before = dumped(source)
    moving = mover_of(source, target)
    forks.care_for(moving)
    assert moving.step()
    child = os.fork()
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    while moving.step():
        pass
    assert dumped(target) == before


def test_a_reason_that_not_every_store_can_keep_is_mended(open_store: Open, target: SqliteStore) -> None:
    source = open_store()
    hands = Hands(source)
    hands.cancel(hands.submit(), "no\0more")
    move(source, target)
    assert [one.reason for one in dumped(target)] == ["no\ufffdmore"]
