"""What only the store on SQLite promises, beside the contract that all stores keep."""

from __future__ import annotations

import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import apsw
import pytest

from duly.core import lifecycle
from duly.core.record import Move
from duly.core.task import Held, State
from duly.errors import StoreMoved, StoreUnavailable
from duly.ports import CancelAsked, Request, Want
from duly.store import apart
from duly.store.sqlite.bell import DatagramBell, Ringer
from duly.store.sqlite.file import wall_clock
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import HOUR, LARGE, Hands, ended

OpenStore = Callable[..., SqliteStore]


def rung(bell: DatagramBell) -> bool:
    ready, _, _ = select.select([bell], [], [], 0)
    bell.silence()
    return bool(ready)


# time
def test_a_clock_that_is_set_back_puts_nobody_first(open_store: OpenStore) -> None:
    times = iter(range(10 * HOUR, 0, -HOUR))
    hands = Hands(open_store(clock=lambda: next(times)))
    ids = [hands.submit() for _ in range(5)]
    rows = [hands.row(task_id) for task_id in ids]
    assert [row.submitted for row in rows] == sorted({row.submitted for row in rows})
    hands.store._clock = wall_clock  # type: ignore[attr-defined]
    assert [held.id for held in hands.claim()] == ids


def test_a_clock_that_is_set_back_makes_nothing_due(open_store: OpenStore) -> None:
    now = [10 * HOUR]
    hands = Hands(open_store(clock=lambda: now[0]))
    hands.submit()
    now[0] = HOUR
    dated = hands.submission(state=State.SCHEDULED, run_at=2 * HOUR)
    reply = hands.exchange(submits=[dated], wants=[Want([hands.lane], 10)])
    assert reply.now == HOUR
    assert hands.seen(dated.id) == (State.SCHEDULED, 0)
    assert hands.exchange(submits=[dated]).submitted == {dated.id: "existing"}


# bells
def test_a_submit_rings_all_nodes_but_the_one_that_submits(store: SqliteStore) -> None:
    one, other = DatagramBell(), DatagramBell()
    hands = Hands(store)
    hands.node = store.enlist("one", one.address, "")
    store.enlist("other", other.address, "")
    assert (rung(one), rung(other)) == (False, False)
    hands.exchange(submits=[hands.submission()])
    assert (rung(one), rung(other)) == (False, True)
    hands.submit()
    assert (rung(one), rung(other)) == (True, True)
    one.close()
    other.close()


def test_a_submit_rings_who_has_come_since_the_last_one(open_store: OpenStore) -> None:
    submitter, nodes = Hands(open_store()), open_store()
    submitter.submit()
    bells = [DatagramBell() for _ in range(2)]
    numbers = [nodes.enlist(bell.address, bell.address, "") for bell in bells]
    submitter.submit()
    assert [rung(bell) for bell in bells] == [True, True]
    nodes.leave(numbers[0])
    submitter.submit()
    assert [rung(bell) for bell in bells] == [False, True]
    for bell in bells:
        bell.close()


def test_whoever_waits_for_a_task_is_rung_when_it_ends(store: SqliteStore) -> None:
    bell = DatagramBell()
    hands = Hands(store)
    task_id, other = hands.submit(bell=bell.address), hands.submit(bell=bell.address)
    held = hands.claim(1)[0]
    assert not rung(bell)
    hands.exchange(changes=[ended(held)], ring={held.bell})
    assert rung(bell)
    store.exchange(Request(cancels=[CancelAsked(other, "")]))
    assert rung(bell)
    assert hands.row(task_id).state == State.SUCCEEDED
    bell.close()


def test_nobody_is_rung_for_what_was_not_done(store: SqliteStore) -> None:
    bell = DatagramBell()
    hands = Hands(store)
    store.enlist("other", bell.address, "")
    hands.enlist()
    store.leave(hands.node)
    assert not hands.exchange(submits=[hands.submission()], ring={bell.address}).done
    assert not rung(bell)
    bell.close()


def test_a_bell_that_nobody_hears_stops_no_one() -> None:
    bell, ringer = DatagramBell(), Ringer()
    for _ in range(5_000):
        ringer.ring([bell.address, "duly-gone", ""])
    assert rung(bell)
    assert not rung(bell)
    bell.close()
    ringer.ring([bell.address])
    ringer.close()


# large payloads
def test_a_claim_takes_no_more_large_payloads_than_fit_beside_each_other(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apart, "MOST_BYTES", 3 * len(LARGE))
    hands = Hands(store)
    ids = [hands.submit(payload=LARGE if place != 2 else "1") for place in range(6)]
    taken = [hands.claim() for _ in range(3)]
    assert [[held.id for held in some] for some in taken] == [ids[:4], ids[4:], []]
    assert {held.payload for held in taken[1]} == {LARGE}


def test_a_payload_larger_than_any_bound_is_claimed_alone(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "MOST_BYTES", 1)
    hands = Hands(store)
    ids = [hands.submit(payload=LARGE) for _ in range(2)]
    assert [[held.id for held in hands.claim()] for _ in ids] == [[task_id] for task_id in ids]


def test_a_row_without_any_payload_goes_to_its_holder_as_it_is(store: SqliteStore) -> None:
    hands = Hands(store)
    task_id = hands.submit()
    assert store._connection is not None
    store._connection.execute("update task set payload = ''")
    assert hands.claim_one().payload == hands.row(task_id).payload == ""


def test_a_large_payload_is_written_once(store: SqliteStore) -> None:
    hands = Hands(store)
    hands.submit(payload=LARGE)
    assert store._checkpointer is not None
    before = store._checkpointer._frames
    held = hands.claim_one()
    hands.change(lifecycle.note(held, [("note", 1, None)]))
    hands.finish(held)
    assert store._checkpointer._frames - before < 60, "pages were written as if the payload went with each change"


# the driver
def test_no_error_of_the_driver_leaves_the_store(store: SqliteStore) -> None:
    assert store._connection is not None
    store._connection.execute("alter table task rename to gone")
    with pytest.raises(Exception, match="no such table") as caught:
        Hands(store).submit()
    assert type(caught.value).__module__ == "duly.errors"
    assert isinstance(caught.value.__cause__, apsw.Error)
    assert not store._connection.in_transaction


class FailingFile(apsw.VFSFile):
    failing = False

    def xSync(self, flags: int) -> None:  # noqa: N802 - the name that SQLite calls
        if FailingFile.failing:
            error = apsw.IOError()
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC
            raise error
        super().xSync(flags)


class FailingDisk(apsw.VFS):
    def __init__(self) -> None:
        self.base = apsw.vfs_names()[0]
        super().__init__("failing", self.base)

    def xOpen(self, name: object, flags: list[int]) -> FailingFile:  # noqa: N802
        return FailingFile(self.base, name, flags)  # type: ignore[arg-type]


@pytest.fixture
def on_failing_disk(path: str) -> Iterator[SqliteStore]:
    disk, store = FailingDisk(), SqliteStore(path)
    apsw.set_default_vfs("failing")
    try:
        store.open()
    finally:
        apsw.set_default_vfs(disk.base)
    yield store
    store.close()
    disk.unregister()


def test_after_a_failed_sync_nothing_more_is_accepted(
    on_failing_disk: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(on_failing_disk)
    kept = hands.submit()
    with monkeypatch.context() as failing:
        failing.setattr(FailingFile, "failing", True)
        with pytest.raises(StoreUnavailable):
            hands.submit()
    with pytest.raises(StoreUnavailable, match="what is on the disk is not known"):
        hands.submit()
    on_failing_disk.close()
    on_failing_disk.open()
    assert [held.id for held in Hands(on_failing_disk).claim()] == [kept]


SYNCED: dict[str, Callable[[Hands, Held], object]] = {
    "a submit": lambda hands, _: hands.submit(),
    "two submits": lambda hands, _: hands.exchange(submits=[hands.submission(), hands.submission()]),
    "a cancel": lambda hands, held: hands.store.exchange(Request(cancels=[CancelAsked(held.id, "")])),
    "an outcome": lambda hands, held: hands.exchange(changes=[ended(held)]),
    "an outcome with a claim": lambda hands, held: hands.exchange(changes=[ended(held)], wants=[Want([hands.lane], 1)]),
    "a lane": lambda hands, _: hands.store.lanes([("default", "other:one", 1)]),
}


@pytest.mark.parametrize("what", SYNCED)
def test_all_that_is_answered_for_is_brought_to_the_disk_but_for_claims(
    on_failing_disk: SqliteStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    hands = Hands(on_failing_disk)
    hands.submit()
    hands.node = on_failing_disk.enlist("one", "", "")
    with monkeypatch.context() as failing:
        failing.setattr(FailingFile, "failing", True)
        (held,) = hands.claim()
        with pytest.raises(StoreUnavailable):
            SYNCED[what](hands, held)


def test_after_a_failed_sync_of_what_was_copied_nothing_more_is_accepted(
    on_failing_disk: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands = Hands(on_failing_disk)
    hands.submit()
    assert on_failing_disk._checkpointer is not None
    assert on_failing_disk._connection is not None
    with monkeypatch.context() as failing:
        failing.setattr(FailingFile, "failing", True)
        on_failing_disk._checkpointer._checkpoint(on_failing_disk._connection)
    with pytest.raises(StoreUnavailable, match="what is on the disk is not known"):
        hands.submit()


# moving
def test_what_is_moved_is_read_by_any_sqlite(open_store: OpenStore) -> None:
    store = open_store()
    hands = Hands(store)
    hands.submit()
    store.move(Move("one", "left", 'sqlite:////srv/ann\'s "new".db'))
    with pytest.raises(StoreMoved, match="ann's"):
        hands.submit()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("select count(*) from task").fetchall() == [(1,)]
