"""All that a store holds, read past duly: from SQLite's file, or from the schema of a PostgreSQL server."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import apsw  # not sqlite3: closing a file in another copy of SQLite would drop the locks that this process has on it
import psycopg

from duly.core import urls
from tests.faults.walk import RUNNING, Run

Where: TypeAlias = Path | str
"""A file, or the url of a store."""

Contents: TypeAlias = tuple[list[str], list["Row"], dict[int, list[Run]]]
"""Damages, tasks, and their histories by key."""


class Row(NamedTuple):
    """A task as the store has it."""

    key: int
    id: str
    action: str
    state: int
    claim: int
    node: int | None
    attempt: int
    deaths: int
    losses: int
    suspect: int
    seq: int
    verdict: int | None
    cleanup: int
    submitted: int
    run_at: int | None
    started_at: int | None
    ended_at: int | None
    cause: str | None
    value: str | None
    options: str | None


_COLUMNS = ", ".join(f"lane.{name}" if name == "action" else f"task.{name}" for name in Row._fields)
_EVENTS = "select task, first, claim, attempt, body from {schema}event order by task, first"
_SELECT = f"select {_COLUMNS} from {{tasks}} task join {{schema}}lane lane on lane.number = task.lane order by task.key"
_FILES_ROWS = _SELECT.format(tasks="task", schema="")
_ROWS = _SELECT.replace("{tasks}", "{schema}every_task")

_DAMAGES = {
    "is twice there": "select id from {schema}every_task group by id having count(*) > 1",
    "has one number with others": "select min(id) from {schema}every_task group by key having count(*) > 1",
    "has ended, and is among those that have not": f"select id from {{schema}}task where state > {RUNNING}",
    "has not ended, and is among those that have": f"select id from {{schema}}ended where state <= {RUNNING}",
    "is held by a node that is not there":
        "select id from {schema}task where node is not null and node not in (select number from {schema}node)",
}  # fmt: skip
"""Ids that there are if a schema is not sound."""


def contents(where: Where) -> Contents:
    """Read all of it, as of one moment."""
    if on_server(where):
        return _of_server(str(where))
    return _of_file(Path(str(where).removeprefix("sqlite:///")))


def on_server(where: Where) -> bool:
    """Whether a server keeps it, and nodes have leases."""
    return urls.on_server(str(where))


def _of_file(path: Path) -> Contents:
    connection = apsw.Connection(str(path), apsw.SQLITE_OPEN_READONLY)
    try:
        connection.set_busy_timeout(10_000)
        connection.execute("begin")
        told = [str(text) for (text,) in connection.execute("pragma integrity_check")]
        rows = [Row(*row) for row in connection.execute(_FILES_ROWS)]
        return [] if told == ["ok"] else told, rows, _histories(connection.execute(_EVENTS.format(schema="")))
    except apsw.CorruptError as error:
        return [str(error)], [], {}
    finally:
        connection.close()


def _of_server(url: str) -> Contents:
    with _reading(url) as connection:

        def read(query: str) -> list[tuple[Any, ...]]:
            return connection.execute(query.format(schema=f"{schema_of(url)}.").encode()).fetchall()

        damages = [f"{task_id} {what}" for what, query in _DAMAGES.items() for (task_id,) in read(query)]
        return damages, [Row(*row) for row in read(_ROWS)], _histories(read(_EVENTS))


def schema_of(url: str) -> str:
    """The schema of a server's store."""
    return urls.divided(url)[1] or "duly"


@contextmanager
def _reading(url: str) -> Iterator[psycopg.Connection]:
    """One snapshot of a server's store, also behind a pooler."""
    with psycopg.connect(urls.divided(url)[0], prepare_threshold=None) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        yield connection


def _histories(events: Iterable[Any]) -> dict[int, list[Run]]:
    found: dict[int, list[Run]] = defaultdict(list)
    for task, first, claim, attempt, body in events:
        found[int(task)].append(Run(first, claim, attempt, json.loads(body)))
    return found
