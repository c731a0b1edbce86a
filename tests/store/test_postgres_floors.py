"""A claim does not read past what was claimed before, and yet finds all that is ready."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count

import msgspec
import psycopg
import pytest

from duly.core.order import BACK_BASE, Place
from duly.core.outcome import Interrupted
from duly.ports import Request
from duly.store.postgres import session
from duly.store.postgres.floors import LATE_MICROSECONDS, SOON_MICROSECONDS, WHOLE_MICROSECONDS, Floors
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import HOUR, Hands
from tests.server import Databases
from tests.store.fixed import FixedClock

NOW = 1_800_000_000_000_000
MANY = 1_000

_numbers = count()


def floors(*first: tuple[int, int, int], now: int = NOW) -> Floors:
    made = Floors()
    made.begin(now)
    made.found(first, now)
    return made


def test_at_first_a_lane_is_read_as_a_whole() -> None:
    assert Floors().ranges([1]) == {"ranges": f"[[1,-1,0,{1 << 14},0]]", "gaps": "[]"}


def test_next_it_is_read_from_what_was_found_first_with_what_is_ahead_of_all_that_wait() -> None:
    floor = BACK_BASE + 7
    assert floors((1, 1, floor)).ranges([1, 2]) == {
        "ranges": f"[[1,-1,0,1,{BACK_BASE}],[1,1,{floor},{1 << 14},0],[2,-1,0,{1 << 14},0]]",
        "gaps": f"[[1,1,{BACK_BASE},1,{floor}]]",
    }


def test_a_floor_stays_behind_the_present() -> None:
    ranges = floors((1, 1, BACK_BASE + NOW)).ranges([1])
    assert ranges["gaps"] == f"[[1,1,{BACK_BASE},1,{BACK_BASE + NOW - LATE_MICROSECONDS}]]"


@pytest.mark.parametrize("now", [NOW + WHOLE_MICROSECONDS, NOW - LATE_MICROSECONDS])
def test_floors_are_given_up_after_a_while_and_when_the_time_has_gone_back(now: int) -> None:
    made = floors((1, 1, BACK_BASE + 7))
    made.begin(NOW + 1)
    assert made.ranges([1]) != Floors().ranges([1])
    made.begin(now)
    assert made.ranges([1]) == Floors().ranges([1])


def test_they_are_given_up_soon_where_nothing_was_found() -> None:
    made = floors((1, 1, BACK_BASE + 7))
    made.begin(NOW + SOON_MICROSECONDS)
    assert made.ranges([1]) != Floors().ranges([1])
    made.found([], NOW + SOON_MICROSECONDS)
    made.begin(NOW + SOON_MICROSECONDS)
    assert made.ranges([1]) == Floors().ranges([1])


# in a store
@pytest.fixture(scope="module")
def url(server: Databases) -> Iterator[str]:
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(scope="module")
def clock(url: str) -> FixedClock:
    return FixedClock(url)


@pytest.fixture
def store(url: str, clock: FixedClock) -> Iterator[PostgresStore]:
    store = PostgresStore(url, f"s{next(_numbers)}")
    store.open()
    clock.fix(store.address.schema)
    yield store
    store.close()


@pytest.fixture
def hands(store: PostgresStore, clock: FixedClock) -> Hands:
    """A node that has claimed half of some tasks which had waited for an hour."""
    hands = Hands(store, clock)
    store.exchange(Request(submits=[hands.submission() for _ in range(2 * MANY)]))
    hands.wait_until(hands.now() + HOUR)
    assert [len(hands.claim(count)) for count in (1, MANY // 2, MANY // 2 - 1)] == [1, MANY // 2, MANY // 2 - 1]
    return hands


def test_what_is_at_the_front_is_claimed_first(hands: Hands) -> None:
    front = hands.submit(place=Place.FRONT)
    high = hands.submit(band=0)
    assert [task.id for task in hands.claim(2)] == [high, front]


def test_what_was_given_back_or_is_due_is_claimed_in_its_turn(hands: Hands) -> None:
    held = hands.store.held(hands.node, 1)[0]
    hands.finish(held, Interrupted())
    dated = hands.submission(run_at=hands.now() - 2 * HOUR)
    hands.store.exchange(Request(submits=[msgspec.structs.replace(dated, base=dated.base - 2 * HOUR)]))
    assert [task.id for task in hands.claim(2)] == [dated.id, held.id]


def test_what_was_committed_long_after_it_was_submitted_is_claimed_within_ten_seconds(hands: Hands) -> None:
    late = hands.submission()
    hands.store.exchange(Request(submits=[msgspec.structs.replace(late, base=late.base - 2 * HOUR)]))
    assert late.id not in {task.id for task in hands.claim(2)}
    hands.wait_until(hands.now() + WHOLE_MICROSECONDS)
    assert late.id in {task.id for task in [*hands.claim(1), *hands.claim(1)]}


def test_what_was_committed_late_is_claimed_within_a_second_where_nothing_else_waits(hands: Hands) -> None:
    assert len(hands.claim(2 * MANY)) == MANY
    assert hands.claim(1) == []
    late = hands.submission()
    hands.store.exchange(Request(submits=[msgspec.structs.replace(late, base=late.base - 2 * HOUR)]))
    hands.wait_until(hands.now() + SOON_MICROSECONDS)
    assert [task.id for task in hands.claim(1)] == [late.id]


def test_what_another_looked_at_and_left_is_claimed_by_who_comes_next(hands: Hands, url: str) -> None:
    with psycopg.connect(url) as other:
        query = f"select id from {hands.store.address.schema}.task where state = 2 order by key limit 1 for update"
        ((left,),) = other.execute(query.encode()).fetchall()
        assert left not in {task.id for task in hands.claim(2)}
    assert [task.id for task in hands.claim(1)] == [left]


def test_what_was_claimed_is_not_read_again_while_an_old_snapshot_is_held(url: str, hands: Hands) -> None:
    store = hands.store
    assert isinstance(store, PostgresStore)
    with psycopg.connect(url) as holder:
        holder.execute("set transaction isolation level repeatable read")
        holder.execute("select 1")
        assert len(hands.claim(MANY // 2)) == MANY // 2
        assert len(hands.claim(10)) == 10
        assert read(url, store, store._floors) < 20
        assert read(url, store, Floors()) > MANY // 2


def read(url: str, store: PostgresStore, floors: Floors) -> int:
    """How many rows a claim of one task looks at to find it."""
    query = session.load(store.address.schema)["claim"]
    values = {
        **floors.ranges([1]), "most": 1, "free": 1, "worst_band": None, "worst_rank": None, "most_bytes": 1,
        "back": BACK_BASE,
        "node": 1, "number": 1 << 30, "after_suspect": False,
    }  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute("set enable_seqscan = off")
        rows = connection.execute(b"explain (analyze) " + query.for_driver(), values).fetchall()
        connection.rollback()
    steps = "\n".join(row[0] for row in rows)
    fetched = re.search(r"Index Only Scan using task_ready.*?Heap Fetches: (\d+)", steps, re.DOTALL)
    assert fetched is not None, steps
    return int(fetched[1])
