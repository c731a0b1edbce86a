"""Nodes live as long as they are heard, and whoever waits is rung: on a server, where no process sees another."""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from duly.core import lifecycle
from duly.core.task import State
from duly.ports import Request, Want
from duly.store.postgres.address import address_of
from duly.store.postgres.bell import ServerBell, node_bell
from duly.store.postgres.store import PostgresStore
from duly.store.postgres.wire import Query, carry_out
from duly.testing.store_hands import POLICY, Hands, ended
from tests.faults.pooler import Pooler
from tests.helpers import eventually
from tests.server import Server
from tests.store.fixed import FixedClock

Open = Callable[..., PostgresStore]


@pytest.fixture
def opened(database: str, use: Open) -> Open:
    """Opens the store of the test once more."""
    return lambda url=database, lease=30.0: use(PostgresStore(url, lease=lease))


@pytest.fixture
def clock(database: str, opened: Open) -> FixedClock:
    opened()
    clock = FixedClock(database)
    clock.fix("duly")
    return clock


# leases
def test_a_node_that_is_silent_is_given_up_and_refused(opened: Open, clock: FixedClock) -> None:
    hands, other = Hands(opened()), opened()
    task_id = hands.submit()
    held = hands.claim_one()
    clock.advance(29)
    assert other.dead() == []
    clock.advance(2)
    assert hands.store.dead() == [], "a node has given itself up"
    assert [node.number for node in other.dead()] == [hands.node]
    assert hands.store.dead() == [], "a node is told that it is dead, and would rescue itself"
    reply = hands.finish(held)
    assert not reply.done, "a node that was given up goes on"
    assert hands.seen(task_id) == (State.RUNNING, 1)
    other.exchange(Request(changes=[lifecycle.rescue(held, POLICY, 1, 0.5)]))
    other.leave(hands.node)
    assert other.nodes() == []
    assert not hands.exchange().done


def test_who_only_looks_sees_a_node_silent_and_gives_nobody_up(opened: Open, clock: FixedClock) -> None:
    hands, other = Hands(opened()), opened()
    hands.enlist()
    clock.advance(29)
    assert other.living() == [hands.node]
    clock.advance(2)
    assert other.living() == []
    assert hands.store.living() == [hands.node], "a node takes itself for dead"
    assert hands.exchange().done, "a look has given it up"
    assert other.living() == [hands.node]


def test_whatever_a_node_says_renews_its_lease(opened: Open, clock: FixedClock) -> None:
    hands, other = Hands(opened()), opened()
    hands.enlist()
    for _ in range(3):
        clock.advance(20)
        reply = hands.exchange(wants=[Want([hands.lane], 1)])
        assert (reply.done, reply.counted) == (True, False)
        assert other.dead() == []
    hands.store.let_go()
    clock.advance(31)
    assert hands.store.dead() == []
    assert hands.exchange().done, "nobody had given it up"


def test_a_node_is_given_up_by_its_own_lease_and_not_by_that_of_who_asks(opened: Open, clock: FixedClock) -> None:
    patient, hasty, asks = opened(lease=60.0), opened(lease=10.0), opened()
    numbers = [store.enlist(str(store.lease), "", "") for store in (patient, hasty)]
    clock.advance(11)
    assert [node.number for node in asks.dead()] == numbers[1:]
    clock.advance(48)
    assert [node.number for node in asks.dead()] == numbers[1:]
    clock.advance(2)
    assert sorted(node.number for node in asks.dead()) == numbers


def test_the_dead_are_given_up_though_the_clock_of_the_server_was_set_back(opened: Open, clock: FixedClock) -> None:
    """A standby that is a day behind takes over, say."""
    dead, living, other = Hands(opened()), Hands(opened()), opened()
    dead.submit()
    dead.claim_one()
    clock.set_back(86_400)
    assert other.dead() == []
    for _ in range(2):
        clock.advance(20)
        living.claim()
        given_up = other.dead()
    assert [node.number for node in given_up] == [dead.node]


def test_who_keeps_the_store_in_order_is_followed_though_the_clock_was_set_back(
    opened: Open, clock: FixedClock
) -> None:
    assert opened().tidy()
    clock.set_back(86_400)
    assert opened().tidy()


def test_who_leaves_waits_for_an_exchange_of_its_own_that_is_still_under_way(opened: Open, database: str) -> None:
    """Its answer was lost, say. What it claims must not be held by a node that nobody knows."""
    hands, other = Hands(opened()), opened()
    hands.enlist()
    task_id = hands.submit()
    with psycopg.connect(database) as late, ThreadPoolExecutor() as pool:
        late.execute("update duly.node set exchange = exchange + 1")
        late.execute("update duly.task set state = 3, claim = 1, node = %s, claimed_in = 1", [hands.node])
        leaving = pool.submit(hands.store.leave, hands.node)
        eventually(lambda: late.execute("select from pg_locks where not granted").rowcount)
        late.commit()
        leaving.result(30)
    (dead,) = other.dead()
    assert [held.id for held in other.held(dead.number, 10)] == [task_id]


def test_a_node_whose_row_is_held_keeps_nobody_from_giving_up_the_others(
    opened: Open, clock: FixedClock, database: str
) -> None:
    """It was cut off in the middle of what it sent, say, and its server does not know."""
    store, other = opened(), opened()
    held, silent = (store.enlist(name, "", "") for name in ("held", "silent"))
    other.patience = 0.2
    clock.advance(31)
    with psycopg.connect(database) as cut_off:
        cut_off.execute("update duly.node set exchange = exchange + 1 where number = %s", [held])
        assert [node.number for node in other.dead()] == [silent]
        cut_off.rollback()
    assert [node.number for node in other.dead()] == [held, silent]


def test_a_transaction_that_is_cut_off_is_ended_by_a_server_that_can(opened: Open) -> None:
    store = opened()
    connection, sql = store._connection, store._sql
    assert connection is not None
    told = Query(b"select current_setting('transaction_timeout', true)")
    guarded = [(sql["begin"], {}), (sql["guard"], {"durable": True, "patience": "1s"}), (told, {}), (sql["commit"], {})]
    assert carry_out(connection, guarded)[2] == [("10s" if connection.info.server_version >= 170_000 else None,)]


def test_an_enlisting_that_is_repeated_makes_one_node(opened: Open) -> None:
    store = opened()
    assert store.enlist("name", "bell", "label") == store.enlist("name", "bell", "label")
    assert [node.name for node in store.nodes()] == ["name"]


def test_who_keeps_the_store_in_order_is_followed_by_another(opened: Open, clock: FixedClock) -> None:
    first, second = opened(), opened()
    assert (first.tidy(), second.tidy()) == (True, False)
    clock.advance(170)
    assert not second.tidy()
    clock.advance(20)
    assert second.tidy(), "nobody follows upon one who is gone"
    second.close()
    assert opened().tidy(), "who closes the store keeps it in order"


# bells
def rung(bell: ServerBell, seconds: float = 10.0) -> bool:
    poll = select.poll()
    poll.register(bell.fileno(), select.POLLIN)
    return bool(poll.poll(seconds * 1000))


@pytest.fixture
def listening(database: str) -> Iterator[Callable[..., ServerBell]]:
    """Makes bells that hear."""
    bells: list[ServerBell] = []

    def make(bell: ServerBell) -> ServerBell:
        bells.append(bell)
        bell.soon()
        assert not rung(bell, 0), "a bell rings that nobody has rung"
        return bell

    yield make
    for bell in bells:
        bell.close()


def test_nodes_are_rung_when_there_may_be_something_to_claim(
    database: str, opened: Open, listening: Callable[..., ServerBell]
) -> None:
    hands = Hands(opened())
    hands.enlist()
    bell = listening(node_bell(hands.store.address))
    for what in (
        hands.submit,
        lambda: hands.store.exchange(Request(submits=[hands.submission(), hands.submission()])),
        lambda: hands.store.pause("queue", "mail"),
        lambda: hands.store.resume("queue", "mail"),
    ):
        eventually(hands.store._ringer.is_rested)
        what()
        assert rung(bell), what
        bell.silence()
        assert not rung(bell, 0), "a ring was heard twice"
    hands.claim(1)
    assert not rung(bell, 0.05), "a claim has rung all nodes"


def test_who_submitted_is_rung_at_the_end_and_nobody_else(
    database: str, opened: Open, listening: Callable[..., ServerBell]
) -> None:
    hands = Hands(opened())
    mine, others = (listening(ServerBell(hands.store.address)) for _ in range(2))
    hands.submit(bell=mine.address)
    held = hands.claim_one()
    assert held.bell == mine.address
    hands.exchange(changes=[ended(held)], ring={held.bell})
    assert rung(mine)
    assert not rung(others, 0.05)


def test_each_end_is_rung_however_soon_after_another(opened: Open, listening: Callable[..., ServerBell]) -> None:
    hands = Hands(opened())
    mine = listening(ServerBell(hands.store.address))
    for _ in range(5):
        hands.submit(bell=mine.address)
    for held in hands.claim():
        hands.exchange(changes=[ended(held)], ring={held.bell})
        assert rung(mine, 0.5), "who waits for a task hears of its end at a poll alone"
        mine.silence()


def test_a_bell_hears_again_after_its_server_was_away(
    own_server: Server, opened: Open, listening: Callable[..., ServerBell]
) -> None:
    hands = Hands(opened(own_server.url()))
    bell = listening(node_bell(hands.store.address))
    fd = bell.fileno()
    own_server.stop()
    bell.silence()
    bell.silence()
    own_server.start()

    def heard() -> bool:
        hands.submit()
        was_rung = rung(bell, 0.05)
        bell.silence()
        return was_rung and bell.hears

    eventually(heard)
    assert bell.fileno() == fd

    def is_quiet() -> bool:
        bell.silence()
        return not rung(bell, 0.05)

    eventually(is_quiet)


FORKING = """
import os, select, sys
import psycopg
from duly.store.postgres.address import address_of
from duly.store.postgres.bell import node_bell
from tests.helpers import eventually

def hears():
    bell.silence()
    return bell.hears

bell = node_bell(address_of(sys.argv[1], "duly"))
assert eventually(hears)
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(writing)
    os.read(reading, 1)  # until its parent is gone
    os._exit(0)
before = len(os.listdir("/proc/self/fd"))
with psycopg.connect(sys.argv[1]) as connection:
    connection.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'duly bell'")
assert eventually(lambda: not hears())
assert eventually(hears)
print(select.select([bell], [], [], 0.2)[0], len(os.listdir("/proc/self/fd")) - before)
"""


def test_a_bell_whose_session_was_ended_rests_though_a_forked_child_has_its_socket(database: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, database],
        stdout=subprocess.PIPE, text=True, timeout=60, check=False, env={**os.environ, "PYTHONPATH": ".:src"},
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "[] 0\n")


def test_a_bell_waits_for_no_name_server(
    database: str, opened: Open, listening: Callable[..., ServerBell], monkeypatch: pytest.MonkeyPatch
) -> None:
    told, find = threading.Event(), socket.getaddrinfo

    def found_late(host: Any, *more: Any, **kept: Any) -> Any:
        assert told.wait(20)
        return find("127.0.0.1" if host == "db.invalid" else host, *more, **kept)

    monkeypatch.setattr("socket.getaddrinfo", found_late)
    address = address_of(database.replace("127.0.0.1", "db.invalid"), "duly")
    assert "db.invalid" in address.conninfo
    begun = time.monotonic()
    bell = ServerBell(address)
    for _ in range(3):
        bell.silence()
    assert time.monotonic() - begun < 1
    assert not rung(bell, 0)
    told.set()
    assert rung(bell), "who waits is not woken when nothing is missed any more"
    listening(bell)
    assert bell.hears
    Hands(opened(database)).exchange(ring={bell.address})
    assert rung(bell)


def test_where_nobody_listens_a_bell_waits_for_nobody() -> None:
    bell = ServerBell(address_of("postgresql://127.0.0.1:1/nowhere", "duly"))
    for _ in range(3):
        bell.silence()
    assert not bell.hears
    bell.close()
    bell.close()


def test_behind_a_pooler_a_bell_knows_that_it_is_deaf(own_server: Server, opened: Open) -> None:
    with Pooler(own_server, size=2) as pooler:
        store = opened(pooler.url())
        assert store.ripples() is None
        bell = node_bell(store.address)
        bell.soon()
        assert bell.deaf
        assert not rung(bell, 0)
        store.close()


def test_a_bell_whose_server_takes_no_connection_holds_nobody_up() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):  # of which the last ones are not answered
            waits = stack.enter_context(socket.socket())
            waits.setblocking(False)
            waits.connect_ex(full.getsockname())
        bell = node_bell(address_of(f"postgresql://ann@127.0.0.1:{full.getsockname()[1]}/shop", "duly"))
        stack.callback(bell.close)
        begun = time.monotonic()
        for _ in range(5):
            bell.silence()
        assert time.monotonic() - begun < 1
        assert not bell.hears
