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
from duly.store.postgres import session
from duly.store.postgres.store import PostgresStore
from duly.testing.store_hands import HOUR, Hands, ended
from tests.server import Databases

TASKS = 4_000
QUERIES = session.load("duly")
VALUES: dict[str, Any] = {
    "node": 1,
    "number": 1,
    "counted": 1,
    "lanes": [1, 2],
    "most": 100,
    "free": 100,
    "worst_band": None,
    "worst_rank": None,
    "most_bytes": 1 << 26,
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


@pytest.fixture(scope="module")
def connection(server: Databases) -> Iterator[psycopg.Connection[Any]]:
    """A database with some thousands of tasks of all kinds; nothing has looked at its tables yet."""
    name = server.create_database()
    store = PostgresStore(server.url(name))
    store.open()
    store._rows("now")
    with psycopg.connect(server.url(name), autocommit=True) as connection:
        connection.execute("alter table duly.task set (autovacuum_enabled = off)")
        connection.execute("alter table duly.ended set (autovacuum_enabled = off)")
        hands = Hands(store)
        now = hands.now()
        for _ in range(TASKS // 1_000):
            dated = [hands.submission(state=State.SCHEDULED, run_at=now + HOUR) for _ in range(250)]
            store.exchange(Request(submits=[*dated, *(hands.submission() for _ in range(750))]))
            hands.change(*map(ended, hands.claim(500)))
        hands.claim(100)
        yield connection
    store.close()
    server.drop_database(name)


def plan(connection: psycopg.Connection[Any], query: str) -> str:
    """How a query is carried out, without a look at its values."""
    asked = QUERIES[query]
    guard = QUERIES["guard"].text.replace(b"$1", b"'8s'").replace(b"$2", b"true")
    with connection.transaction(force_rollback=True):
        connection.execute(guard)
        connection.execute(b"prepare asked as " + asked.text)
        values = ", ".join(psycopg.sql.quote(VALUES[name]) for name in asked.names)
        rows = connection.execute(f"explain execute asked{f'({values})' if values else ''}".encode()).fetchall()
        connection.execute("deallocate asked")
    return "\n".join(row[0] for row in rows)


@pytest.mark.parametrize("known", [False, True], ids=["young", "known"])
@pytest.mark.parametrize(
    ("query", "indexes"),
    [
        ("claim", ["task_ready", "task_pkey"]),
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
    query: str, indexes: list[str], known: bool, connection: psycopg.Connection[Any]
) -> None:
    if known:
        connection.execute("analyze duly.task, duly.ended, duly.event")
    steps = plan(connection, query)
    assert not re.search(r"Seq Scan on (task|ended|event)\b", steps), steps
    for index in indexes:
        assert re.search(rf"using {index}\b|on {index}\b", steps), f"{index} is not used:\n{steps}"


def test_each_query_says_what_it_is_for() -> None:
    for file in resources.files("duly.store.postgres").joinpath("sql").iterdir():
        sql = file.read_text("utf-8")
        assert sql.startswith("-- "), f"{file.name} says nothing of itself"
        assert len(sql.splitlines()) > 1


def test_no_query_is_left_with_what_only_its_file_understands() -> None:
    for name, (sql, names) in QUERIES.items():
        assert not re.search(r"@\w|{schema}|--|%|(?<!:):\w", sql.decode()), f"{name}: {sql!r}"
        assert {int(place) for place in re.findall(rb"\$(\d+)", sql)} == set(range(1, len(names) + 1)), name
