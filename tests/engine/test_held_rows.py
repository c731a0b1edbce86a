"""Somebody's open transaction holds what is to be written: that waits for it, and nothing else does for long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

import duly
from duly.core.action import Policy
from duly.engine.asking import ask
from duly.engine.rescue import rescue
from duly.engine.storethread import BUSY_IN_A_ROW, MOST_BUSY, StoreThread
from duly.errors import StoreBusy
from duly.ports import CancelAsked, NodeRow, Reply, Request, Want
from duly.store.postgres.store import PostgresStore
from duly.store.sqlite.bell import DatagramBell
from tests.engine import errands
from tests.engine.making import asked, lane_of, submission
from tests.engine.test_shared_transaction import together
from tests.helpers import eventually

SECONDS = 60
LEASE = 3.0

HELD = [f"held {number}" for number in range(20)]

Seen = Callable[[], dict[int, int]]


@pytest.fixture
def seen(database: str) -> Iterator[Seen]:
    """Tells when each node was heard last that was not given up, in microseconds of the server's clock."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield lambda: dict(connection.execute("select number, seen from duly.node where not lost").fetchall())


class Counting(PostgresStore):
    """Counts what it was asked to do."""

    exchanges = 0

    def exchange(self, request: Request) -> Reply:
        self.exchanges += 1
        return super().exchange(request)


@pytest.fixture
def store(database: str) -> Counting:
    return Counting(database, lease=LEASE)


@pytest.fixture
def thread(store: Counting, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreThread]:
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 0.5)
    with closing(StoreThread(lambda: store, DatagramBell, 1.0)) as thread:
        asked(thread, lane_of)
        asked(thread, submits(*HELD))
        yield thread


@pytest.fixture
def other(thread: StoreThread, store: Counting, database: str) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction, which has some tasks in its hands."""
    assert thread.address
    with psycopg.connect(database) as other:
        other.execute("select from duly.task for update")
        store.exchanges = 0
        yield other
        other.rollback()


def submits(*ids: str) -> Request:
    return Request(submits=[submission(task_id) for task_id in ids])


def cancels(task_id: str) -> Request:
    return Request(cancels=[CancelAsked(task_id, "enough")])


def starts(app: duly.App, handle: duly.Handle[Any]) -> int:
    return [event.kind for event in app.look(handle.id)[1]].count("start")


def test_a_node_lives_on_while_a_child_of_its_task_is_in_somebodys_open_transaction(
    database: str, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(duly.App(database, poll=0.1, lease=LEASE)) as app, psycopg.connect(database) as other:
        tell = app.action("errand:tell", timeout=None)(errands.tell_pid)
        leave = app.action("errand:leave")(errands.leave_a_child)
        child = app.action("errand:nothing")(errands.nothing).passport()
        app.submit(child, connection=other)
        with app.worker(2):
            long = tell.submit()
            eventually(lambda: starts(app, long) == 1)
            parent = leave.submit(child.id)
            ((node, since),) = seen().items()
            eventually(lambda: seen().get(node, 0) > since + 2 * LEASE * 1e6 or node not in seen(), SECONDS)
            assert list(seen()) == [node], "it has given itself up"
            assert "others have held what is to be written" in caplog.text
            other.rollback()
            parent.result(timeout=SECONDS)
            assert app.handle(child.id).wait(SECONDS).state == "succeeded"
            assert starts(app, long) == 1
            assert list(seen()) == [node]
            long.cancel()
            assert long.wait(SECONDS).state == "cancelled"


@pytest.mark.usefixtures("other")
def test_who_waits_for_what_others_hold_fails_nobody_who_shares_its_transaction(thread: StoreThread) -> None:
    fresh = [f"fresh {number}" for number in range(8)]
    guilty, *replies = together(thread, cancels("held 0"), *(submits(task_id) for task_id in fresh))
    assert isinstance(guilty, StoreBusy)
    assert [reply.submitted for reply in replies] == [{task_id: "created"} for task_id in fresh]


@pytest.mark.usefixtures("other")
def test_a_node_is_heard_before_all_who_wait_for_what_others_hold(thread: StoreThread) -> None:
    node = asked(thread, lambda store: store.enlist("living", "", ""))
    request = Request(node=node, number=1, wants=[Want([1], 1)])
    *guilty, reply = together(thread, *(cancels(task_id) for task_id in HELD), submits("fresh"), request)
    assert {type(error) for error in guilty[:-1]} == {StoreBusy}
    assert (reply.done, reply.counted) == (True, False)


def test_where_all_is_locked_not_each_is_tried_by_itself(
    thread: StoreThread, store: Counting, other: psycopg.Connection
) -> None:
    other.execute("lock table duly.task")
    errors = together(thread, *(submits(f"fresh {number}") for number in range(9)))
    assert {type(error) for error in errors} == {StoreBusy}
    assert store.exchanges == 1 + BUSY_IN_A_ROW


@pytest.mark.usefixtures("other")
def test_many_who_wait_for_what_others_hold_do_not_keep_the_store_from_everybody_else(
    thread: StoreThread, store: Counting
) -> None:
    answers = together(thread, *(one for held in HELD for one in (submits(f"fresh {held}"), cancels(held))))
    busy = [isinstance(answer, StoreBusy) for answer in answers]
    tried = 2 * MOST_BUSY
    assert busy[:tried] == [False, True] * MOST_BUSY
    assert all(busy[tried:])
    assert store.exchanges == 1 + tried


@pytest.fixture
def dead(thread: StoreThread) -> NodeRow:
    """A node that holds all tasks and lives no more."""
    node = asked(thread, lambda store: store.enlist("dead", "", "there:1"))
    asked(thread, Request(node=node, number=1, wants=[Want([1], len(HELD))]))
    asked(thread, lambda store: store.abandon(node))
    (row,) = asked(thread, lambda store: store.dead())
    return row


def rescued(thread: StoreThread, dead: NodeRow) -> int:
    return ask(thread, rescue(dead, sweep=lambda _: 0, policy=lambda _: Policy(), now=lambda: 1))


def test_what_a_dead_node_held_is_given_back_but_for_what_others_hold_which_is_so_later(
    thread: StoreThread, dead: NodeRow, database: str
) -> None:
    with psycopg.connect(database) as other:
        other.execute("select from duly.task where id = any(%s) for update", [HELD[1:3]])
        with pytest.raises(StoreBusy):
            rescued(thread, dead)
        left = asked(thread, lambda store: store.held(dead.number, 99))
        assert {held.id for held in left} == set(HELD[1:3])
        with pytest.raises(StoreBusy):
            rescued(thread, dead)
        assert asked(thread, lambda store: store.dead()) == [dead]
        other.rollback()
    assert rescued(thread, dead) == 2
    assert asked(thread, lambda store: (store.nodes(), store.dead())) == ([], [])
    assert {row.losses for row in asked(thread, lambda store: store.find(HELD))} == {1}


def test_of_what_a_dead_node_held_not_each_is_tried_by_itself_where_all_is_locked(
    thread: StoreThread, store: Counting, dead: NodeRow, other: psycopg.Connection
) -> None:
    assert not other.closed
    with pytest.raises(StoreBusy):
        rescued(thread, dead)
    assert store.exchanges == 2 * (1 + BUSY_IN_A_ROW), "each is tried by who asks, and then by the store's thread"
