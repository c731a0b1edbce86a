"""Queries of PostgreSQL fit their schema, and find what they need by its indexes, also where nothing is known of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import psycopg
import pytest

from duly.core.task import State
from duly.ports import Request
from duly.store.postgres import connection as connections
from duly.store.postgres import session
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import HOUR, Hands, ended
from tests.server import Databases

TASKS = 2_000
QUERIES = session.load("duly")

VALUES: dict[str, Any] = {
    "node": 1,
    "number": 1,
    "counted": 1,
    "ranges": "[[1, -1, 0, 9, 0]]",
    "gaps": "[[1, 1, 0, 1, 9]]",
    "most": 100,
    "free": 100,
    "worst_band": None,
    "worst_rank": None,
    "most_bytes": 1 << 26,
    "back": 1 << 60,
    "after_suspect": False,
    "ids": ["one", "two"],
    "id": "one",
    "keys": [1, 2],
    "key": 1,
    "at": 0,
    "after": 0,
    "upto": 1 << 62,
    "before": 1 << 30,
    "states": None,
    "action": None,
    "queue": None,
    "since": None,
    "due_before": None,
    **dict.fromkeys(["changes", "cancels", "plan", "rejections", "releases", "tasks", "rows"], "[]"),
}


OFTEN = ("claim", "success", "change")
"""What is asked all the time is planned well whatever is known; nothing else scans a table, at least."""

KNOWN = ("empty", "swept", "young", "known")
"""Schemas: of two with tasks and two without, PostgreSQL has looked at one each."""


@pytest.fixture(scope="module")
def connection(server: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A database with those schemas."""
    name = server.create_database()
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        for schema in KNOWN:
            store = PostgresStore(server.url(name), schema)
            store.open()
            for table in ("task", "ended", "event"):
                connection.execute(f"alter table {schema}.{table} set (autovacuum_enabled = off)".encode())
            if schema in ("young", "known"):
                fill(Hands(store))
            if schema in ("swept", "known"):
                connection.execute(f"vacuum analyze {schema}.task, {schema}.ended, {schema}.event".encode())
            store.close()
        yield connection
    server.drop_database(name)


def fill(hands: Hands) -> None:
    """Store some thousands of tasks of all kinds."""
    now = hands.now()
    for _ in range(TASKS // 1_000):
        dated = [hands.submission(state=State.SCHEDULED, run_at=now + HOUR) for _ in range(250)]
        hands.store.exchange(Request(submits=[*dated, *(hands.submission() for _ in range(750))]))
        hands.change(*map(ended, hands.claim(500)))
    hands.claim(100)


def plan(connection: psycopg.Connection[Any], schema: str, query: str) -> str:
    """How a query is carried out, without a look at its values."""
    asked = session.load(schema)[query]
    guard = QUERIES["guard"].text.replace(b"$1", b"'8s'").replace(b"$2", b"true")
    with connection.transaction(force_rollback=True):
        connection.execute(guard)
        connection.execute(b"prepare asked as " + asked.text)
        values = ", ".join(psycopg.sql.quote(VALUES[name]) for name in asked.names)
        rows = connection.execute(f"explain execute asked{f'({values})' if values else ''}".encode()).fetchall()
        connection.execute("deallocate asked")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("schema", KNOWN)
@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("claim", ["task_ready", "task_again", "task_pkey"]),
        ("claim_suspect", ["task_suspect", "task_pkey"]),
        ("claim_cleanup", ["task_cleanup", "task_pkey"]),
        ("due", ["task_scheduled"]),
        ("look", ["task_scheduled", "task_asked"]),
        ("held", ["task_running"]),
        ("claimed", ["task_running"]),
        ("move", ["task_pkey", "task_id_key"]),
        ("known", ["ended_id_key"]),
        ("find", ["task_id_key", "ended_id_key"]),
        ("glance", ["task_id_key", "ended_id_key"]),
        ("standing", ["task_pkey", "ended_pkey"]),
        ("survey", ["task_pkey", "ended_pkey"]),
        ("tasks_newest", ["task_pkey", "ended_pkey"]),
        ("tasks_date", ["task_dated", "ended_dated"]),
        ("events", ["event_pkey"]),
        ("remove", ["ended_pkey"]),
        ("success", ["task_pkey"]),
        ("change", ["task_pkey"]),
        ("cancel", ["task_id_key", "task_pkey"]),
        ("reject", ["task_pkey", "ended_pkey"]),
        ("revive", ["ended_pkey"]),
        ("retry", ["task_pkey"]),
        ("empty", ["ended_pkey"]),
        ("loosen", ["ended_pkey"]),
        ("drop_events", ["ended_pkey", "event_pkey"]),
        ("settle", ["task_pkey", "task_id_key", "ended_pkey", "ended_id_key"]),
    ],
)
def test_what_is_needed_is_found_by_indexes(
    query: str, indexes: list[str], schema: str, connection: psycopg.Connection[Any]
) -> None:
    steps = plan(connection, schema, query)
    assert not re.search(r"Seq Scan on (task|ended|event)\b", steps), steps
    for index in indexes if schema in ("young", "known") or query in OFTEN else ():
        assert re.search(rf"using {index}\b|on {index}\b", steps), f"{index} is not used:\n{steps}"


@pytest.mark.parametrize("schema", KNOWN)
def test_what_was_chosen_is_not_looked_for_in_all_that_is_ready(
    schema: str, connection: psycopg.Connection[Any]
) -> None:
    steps = plan(connection, schema, "claim")
    assert len(re.findall("task_ready", steps)) == 1, steps


def test_queries_are_read_from_the_disk_once() -> None:
    """Each `connection=` wants them."""
    assert session.load("duly") is session.load("duly")


def test_each_query_says_what_it_is_for() -> None:
    for file in resources.files("duly.store.postgres").joinpath("sql").iterdir():
        sql = file.read_text("utf-8")
        assert sql.startswith("-- "), f"{file.name} says nothing of itself"
        assert len(sql.splitlines()) > 1


def test_no_query_is_left_with_what_only_its_file_understands() -> None:
    for name, (sql, names) in QUERIES.items():
        assert not re.search(r"@\w|{schema}|--|%|(?<!:):\w", sql.decode()), f"{name}: {sql!r}"
        assert {int(place) for place in re.findall(rb"\$(\d+)", sql)} == set(range(1, len(names) + 1)), name


def test_plans_are_kept_for_a_while_and_then_made_anew(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PostgresStore(database)
    store.open()
    hands = Hands(store)

    def planned() -> set[str]:
        hands.submit()
        assert store._connection is not None
        return {name for (name,) in store._connection.execute("select name from pg_prepared_statements").fetchall()}

    first = planned()
    assert planned() == first != set()
    monkeypatch.setattr(connections, "PLAN_SECONDS", 0.0)
    monkeypatch.setattr(store._connection, "_plans_until", 0.0)
    assert not planned() & first, "a plan is kept without end"
    assert len(planned()) <= len(first), "plans add up"
    store.close()
