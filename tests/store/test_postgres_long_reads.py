"""What reads much takes no longer than it may, is read once, and holds nobody's lease."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from duly.core.record import Move
from duly.errors import PASSING, StoreError
from duly.ports import Filter, Request, Want
from duly.store import migrations
from duly.store.migrations import Migration
from duly.store.postgres import session
from duly.store.postgres.address import address_of
from duly.store.postgres.connection import Connection, connect
from duly.store.postgres.schema import applied, migrate
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import LARGE, Hands
from tests.helpers import eventually
from tests.server import Databases

LEASE = 1.5

READS: dict[str, Callable[[PostgresStore], Any]] = {
    "stats": lambda store: store.stats(),
    "newest": lambda store: store.tasks(Filter(action="test:none"), "newest", None, 10),
    "date": lambda store: store.tasks(Filter(), "date", None, 10),
    "dump": lambda store: store.dump(0, 10),
}


@pytest.fixture
def store(database: str) -> Iterator[PostgresStore]:
    store = PostgresStore(database, lease=LEASE)
    store.open()
    yield store
    store.close()


@pytest.fixture
def others(server: Databases, database: str) -> Callable[[], list[tuple[Any, ...]]]:
    """The sessions in the database, and what each is waiting for."""
    query = "select pid, wait_event_type from pg_stat_activity where datname = %s order by pid"
    return lambda: server.run(query, urlsplit(database).path[1:])


@contextmanager
def locked(database: str) -> Iterator[psycopg.Connection]:
    """Nobody can read tasks for now."""
    with psycopg.connect(database) as other:
        other.execute("lock table duly.task in access exclusive mode")
        yield other


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_a_node_reads_for_long_is_given_up_before_its_lease_is_over(
    read: Callable[[PostgresStore], Any], store: PostgresStore, database: str, others: Callable[[], list[Any]]
) -> None:
    hands = Hands(store)
    hands.enlist()
    before = {pid for pid, _ in others()}
    with locked(database) as other:
        began = time.monotonic()
        with pytest.raises(StoreError, match=r"reading took longer than 0.5 s .* no tasks") as caught:
            read(store)
        assert 0.5 <= time.monotonic() - began < LEASE, "it was read more than once, or for too long"
        assert not isinstance(caught.value, PASSING), "who asks again has the node wait as long once more"
        now = dict(others())
        now.pop(other.info.backend_pid)
        assert now.keys() == before, "the connection was given up"
        assert "Lock" not in now.values(), "the server goes on reading for nobody"
    assert hands.exchange().done
    read(store)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_where_no_node_lives_it_may_take_longer_than_others_answers(
    read: Callable[[PostgresStore], Any],
    store: PostgresStore,
    database: str,
    others: Callable[[], list[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Connection, "answer_seconds", 0.2)
    before = {pid for pid, _ in others()}
    with locked(database) as other, ThreadPoolExecutor() as pool:
        reading = pool.submit(read, store)
        with pytest.raises(TimeoutError):
            reading.result(0.6)
        other.rollback()
        reading.result(30)
        assert {pid for pid, _ in others()} - {other.info.backend_pid} == before, "it was begun anew"
    store.patience = 0.1
    with pytest.raises(StoreError), locked(database):
        store.find(["x"])


def test_a_step_of_the_schema_takes_as_long_as_it_takes(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "answer_seconds", 0.2)
    address = address_of(database, "slow")
    steps = [*migrations.load(session.PACKAGE), Migration(9000, "expand", "slow", "select pg_sleep(0.6)")]
    with connect(address) as connection:
        migrate(connection, address, steps)
        assert applied(connection, address)[-1].name == "slow"


@pytest.mark.parametrize("what", ["is slow", "fails"])
def test_a_move_ends_though_what_tells_the_planner_of_it(
    what: str, store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    function = (
        "create or replace function odd(text) returns text language plpgsql immutable as $$ begin {} return $1; end $$"
    )
    with psycopg.connect(database, autocommit=True) as other:
        other.execute(function.format("").encode())
        other.execute("create index on duly.task (odd(id))")
        Hands(store).submit()
        does = "perform pg_sleep(0.6);" if what == "is slow" else "raise exception 'no';"
        other.execute(function.format(does).encode())
        store.move(Move("1", "coming", "there"))
        monkeypatch.setattr(Connection, "answer_seconds", 0.2)
        store.move(None)
        assert store.moving() is None
        told = other.execute(
            "select count(*) from pg_stats where schemaname = 'duly' and tablename = 'task'"
        ).fetchone()
        assert told is not None
        assert bool(told[0]) == (what == "is slow")


def test_no_more_is_dumped_at_once_than_is_handed_over(store: PostgresStore, database: str) -> None:
    hands = Hands(store)
    small, large = '"' + "é" * 1000 + '"', LARGE
    store.exchange(Request(submits=[hands.submission(payload=text) for text in (small, small, large, small, small)]))
    query = session.load(store.address.schema)["dump"].for_driver()

    def dumped(after: int, most_bytes: int) -> int:
        values = {"after": after, "most": 10, "most_bytes": most_bytes}
        with psycopg.connect(database) as connection:
            return len(connection.execute(query, values).fetchall())

    assert dumped(0, 10_000_000) == 5
    assert dumped(0, 4_004) == 2
    assert dumped(0, 4_003) == 1
    assert dumped(0, len(LARGE)) == 2
    assert dumped(0, 4_004 + len(LARGE)) == 3
    assert dumped(2, 1) == 1
    assert dumped(5, 1) == 0


def test_a_payload_of_many_pieces_is_read_as_it_was(store: PostgresStore) -> None:
    hands = Hands(store)
    text = '"' + "".join(f"{number:07}" for number in range(500_000)) + '"'
    task_id = hands.submit(payload=text)
    (row,) = store.find([task_id])
    assert store.large(row.key, "payload") == text


def test_of_large_payloads_no_more_are_read_than_the_lease_has_time_for(database: str) -> None:
    store = PostgresStore(database, lease=1e-6)
    store.open()
    hands = Hands(store)
    small = hands.submit()
    ids = [hands.submit(payload=LARGE) for _ in range(3)]
    reply = hands.exchange(wants=[Want([hands.lane], 4)])
    claims = reply.claims
    assert reply.anew, "a node that does not know of it looks after a minute for what was left out"
    assert [held.id for held in claims] == [small, ids[0]]
    assert claims[1].payload == LARGE
    assert {held.id for held in store.held(hands.node, 10)} == {small, *ids}, "what was left out cannot be given back"
    store.close()


def test_a_read_that_an_operator_has_ended_is_not_told_as_one_that_took_too_long(
    store: PostgresStore, database: str, others: Callable[[], list[tuple[Any, ...]]]
) -> None:
    with locked(database) as other, ThreadPoolExecutor(1) as thread:
        reading = thread.submit(store.stats)
        eventually(lambda: any(waits == "Lock" for _, waits in others()))
        for pid, waits in others():
            if waits == "Lock":
                other.execute("select pg_cancel_backend(%s)", [pid])
        with pytest.raises(StoreError, match="due to user request"):
            reading.result(30)
    assert store.stats() == []
