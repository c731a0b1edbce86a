"""The answer to a commit is lost on its way: what was done is done once, and is told as it was done."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from duly.core.outcome import Failure
from duly.core.task import State
from duly.errors import StoreAway, StoreBusy
from duly.ports import CancelAsked, Child, Request, Retried, Want
from duly.store.postgres.connection import Connection
from duly.store.postgres.store import PostgresStore
from duly.testing import check_store, store_children, store_retries, store_users
from duly.testing.store_hands import LARGE, Check, Hands, ended
from tests.faults.pooler import Pooler
from tests.faults.proxy import Fate, Proxy
from tests.server import Server

POOLED = (*store_children.CHECKS, *store_retries.CHECKS, *store_users.CHECKS)
LOST = [Fate.SWALLOW, Fate.TEAR, Fate.SILENCE]


@pytest.fixture(scope="module")
def server(postgres: object) -> Iterator[Server]:
    server: Server = postgres.server()  # type: ignore[attr-defined]
    yield server
    server.end()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


@pytest.fixture
def name(server: Server) -> Iterator[str]:
    """An empty database."""
    name = server.create_database()
    yield name
    server.drop_database(name)


@pytest.fixture
def hands(proxy: Proxy, name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hands]:
    """Hands on a store by way of the proxy."""
    monkeypatch.setattr(Connection, "answer_seconds", 0.5)
    store = PostgresStore(proxy.url(name))
    store.open()
    hands = Hands(store)
    hands.enlist()
    yield hands
    store.close()


def lose(proxy: Proxy, fate: Fate, *numbers: int) -> None:
    """Lose the answers to these of the commits to come."""
    lost = numbers or (1,)
    proxy.decide(lambda number: fate if number in lost else Fate.PASS)


@pytest.mark.parametrize("fate", LOST)
def test_an_exchange_of_a_node_is_told_as_it_was(fate: Fate, proxy: Proxy, hands: Hands) -> None:
    done, next_one = hands.submit(), hands.submit(payload=LARGE)
    held = hands.claim(1)[0]
    child = hands.submission()
    lose(proxy, fate)
    reply = hands.exchange(
        changes=[ended(held)], children=[Child(held.key, held.claim, child)], wants=[Want([hands.lane], 1)]
    )
    assert proxy.hits == 1
    assert (reply.done, reply.anew, reply.counted, reply.misses) == (True, True, True, [])
    assert [(held.id, held.payload, held.claim) for held in reply.claims] == [(next_one, LARGE, 1)]
    assert hands.told(done) == ["success"], "it was carried out twice, or not at all"
    assert hands.finish(reply.claims[0]).misses == [], "the next number is refused"
    assert [held.id for held in hands.claim()] == [child.id]


def test_a_look_in_vain_is_done_again(proxy: Proxy, hands: Hands) -> None:
    lose(proxy, Fate.SWALLOW)
    reply = hands.exchange(wants=[Want([hands.lane], 1)])
    assert (reply.done, reply.anew, reply.counted) == (True, False, False)
    hands.submit()
    lose(proxy, Fate.SWALLOW)
    reply = hands.exchange(wants=[Want([hands.lane], 1)])
    assert (reply.done, reply.counted, len(reply.claims)) == (True, True, 1)


def test_what_missed_is_told_to_have_missed(proxy: Proxy, hands: Hands) -> None:
    cancelled, stored = hands.submit(), hands.submit()
    claims = {held.id: held for held in hands.claim()}
    hands.cancel(cancelled)
    orphan = hands.submission()
    lose(proxy, Fate.SWALLOW)
    held = claims[cancelled]
    reply = hands.exchange(changes=[ended(held), ended(claims[stored])], children=[Child(held.key, held.claim, orphan)])
    assert [tuple(miss) for miss in reply.misses] == [(held.key, held.claim, State.RUNNING, held.claim, 6)]
    assert hands.store.find([orphan.id]) == [], "the child of a change that missed was stored"


@pytest.mark.parametrize("fate", LOST)
@pytest.mark.parametrize("beside", ["alone", "beside a node"])
def test_what_anybody_asked_is_answered_as_it_was(fate: Fate, beside: str, proxy: Proxy, hands: Hands) -> None:
    cancelled, failed = hands.submit(), hands.submit()
    hands.change(*(ended(held, Failure("no", retry=False)) for held in hands.claim() if held.id == failed))
    hands.enlist()
    waiting, new = hands.submit(), hands.submission()
    assert hands.cancel(cancelled) == "asked"
    lose(proxy, fate)
    request = Request(
        submits=[new], retries=[failed], cancels=[CancelAsked(waiting, "why"), CancelAsked(cancelled, "why")]
    )
    if beside != "alone":
        request.node, request.number = hands.node, hands.number + 1
    reply = hands.store.exchange(request)
    hands.number += reply.counted
    assert proxy.hits == 1
    assert reply.cancelled == {waiting: "cancelled", cancelled: "asked"}, reply.cancelled
    assert reply.retried == {failed: Retried(True, "ready")}
    assert reply.submitted.keys() == {new.id}
    assert hands.told(failed) == ["fail", "release"]
    assert (hands.told(waiting), hands.told(cancelled)) == (["cancel"], ["verdict"])
    assert {held.id for held in hands.claim()} == {failed, new.id}


def test_an_answer_that_stays_away_is_asked_for_by_the_next_call(proxy: Proxy, hands: Hands) -> None:
    done, other = hands.submit(), hands.submission()
    held = hands.claim_one()
    hands.store.patience = 0.0
    proxy.decide(lambda _: Fate.SWALLOW)  # also when it is asked for over another connection
    request = Request(node=hands.node, number=hands.number + 1, changes=[ended(held)])
    with pytest.raises(StoreAway):
        hands.store.exchange(request)
    request.submits = [other]  # somebody else's, that came meanwhile
    proxy.decide(lambda _: Fate.PASS)
    hands.store.patience = 10.0
    reply = hands.store.exchange(request)
    assert (reply.anew, reply.counted, reply.misses, reply.submitted) == (True, True, [], {other.id: "created"})
    assert hands.told(done) == ["success"]


@pytest.mark.parametrize("arrived", [False, True])
def test_a_node_that_is_heard_meanwhile_is_told_what_came_of_its_exchange_all_the_same(
    arrived: bool, proxy: Proxy, name: str, hands: Hands
) -> None:
    done, held = hands.submit(), hands.claim_one()
    hands.store.patience = 0.0
    request = Request(node=hands.node, number=hands.number + 1, changes=[ended(held)])
    with psycopg.connect(proxy.url(name)) as other:
        if not arrived:
            other.execute("select from duly.task for update")
        proxy.decide(lambda _: Fate.SWALLOW)
        with pytest.raises(StoreAway if arrived else StoreBusy):
            hands.store.exchange(request)
        proxy.decide(lambda _: Fate.PASS)
        hands.store.patience = 10.0
        for _ in range(2):
            beat = hands.store.exchange(Request(node=hands.node, number=hands.number + 1))
            assert (beat.done, beat.anew, beat.counted) == (True, arrived, arrived)
        other.rollback()
    reply = hands.store.exchange(request)
    assert (reply.done, reply.anew, reply.counted, reply.misses) == (True, arrived, True, [])
    assert hands.told(done) == ["success"]


def test_a_retry_whose_answer_stayed_away_was_no_refusal(proxy: Proxy, hands: Hands) -> None:
    failed = hands.submit()
    hands.change(ended(hands.claim_one(), Failure("no", retry=False)))
    waiting = hands.submit()
    hands.store.patience = 0.0
    proxy.decide(lambda _: Fate.SWALLOW)
    with pytest.raises(StoreAway):
        hands.store.exchange(Request(retries=[failed]))
    proxy.decide(lambda _: Fate.PASS)
    hands.store.patience = 10.0
    retried = hands.store.exchange(Request(retries=[failed, waiting])).retried
    assert retried == {failed: Retried(True, "ready"), waiting: Retried(False, "ready")}
    assert hands.store.exchange(Request(retries=[failed])).retried == {failed: Retried(False, "ready")}
    assert hands.told(failed) == ["fail", "release"]


def test_a_node_that_was_given_up_meanwhile_is_told_so(proxy: Proxy, hands: Hands, server: Server, name: str) -> None:
    hands.submit()
    held = hands.claim_one()
    hands.store.patience = 0.0
    proxy.decide(lambda _: Fate.SWALLOW)  # also when it is asked for over another connection
    request = Request(node=hands.node, number=hands.number + 1, changes=[ended(held)], wants=[Want([hands.lane], 1)])
    with pytest.raises(StoreAway):
        hands.store.exchange(request)
    server.run("update duly.node set seen = 0", database=name)
    other = PostgresStore(server.url(name))
    other.open()
    assert [node.number for node in other.dead()] == [hands.node]
    other.close()
    proxy.decide(lambda _: Fate.PASS)
    hands.store.patience = 10.0
    assert not hands.store.exchange(request).done


def test_a_piece_of_a_large_text_may_be_written_twice(proxy: Proxy, hands: Hands) -> None:
    lose(proxy, Fate.SWALLOW, 1, 2)
    task_id = hands.submit(payload=LARGE)
    (row,) = hands.store.find([task_id])
    assert (proxy.hits, hands.store.large(row.key, "payload")) == (2, LARGE)


def test_a_connection_that_is_cut_between_exchanges_costs_nothing(proxy: Proxy, hands: Hands) -> None:
    for _ in range(3):
        hands.submit()
        proxy.cut()
        held = hands.claim_one()
        proxy.cut()
        assert hands.finish(held).misses == []


@pytest.mark.parametrize("check", POOLED, ids=lambda check: check.__name__)
def test_the_contract_holds_behind_a_pooler(check: Check, pooled: Callable[[], PostgresStore]) -> None:
    check_store(pooled, [check], beside=lambda store: pooled(store.address.schema))  # type: ignore[attr-defined, call-arg]


@pytest.fixture(scope="module")
def pooler(server: Server) -> Iterator[Pooler]:
    with Pooler(server, size=2) as pooler:
        yield pooler


@pytest.fixture(scope="module")
def pooled(pooler: Pooler, server: Server) -> Iterator[Callable[[], PostgresStore]]:
    """Opens a new store behind a pooler that gives each transaction another session, or one of these once more."""
    name = server.create_database()
    schemas: list[str] = []

    def open_it(schema: str = "") -> PostgresStore:
        if not schema:
            schemas.append(f"s{len(schemas)}")
        store = PostgresStore(pooler.url(name), schema or schemas[-1])
        store.open()
        assert store._connection is not None
        assert store._connection.pooled
        return store

    yield open_it
    server.drop_database(name)
