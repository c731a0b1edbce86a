"""SQLite by hand: the tables and rows of duly's own store, its settings, and none of its code."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import apsw

from bench.trial import Trial

BLOB = "x" * 89
"""What makes the payload `{"blob":"..."}` 100 bytes long."""

BATCH = 500
"""Tasks claimed and tasks finished in one transaction: about what a busy node has in its."""

MOST_ROWS = 10_000
"""As many rows as duly's submits put into one transaction."""

CHOOSE = """
select key, claim + 1, attempt + 1, id, band, rank, submitted, bell, origin, options, info, payload from task
where lane = ? and state = 2 and suspect = 0
order by band, rank limit ?
"""
CLAIM = """
update task set state = 3, claim = claim + 1, attempt = attempt + 1, node = 1
where key in (select value from json_each(?))
"""
FINISH = """
update task set
    state = 4, seq = seq + 2, value = 'null', started_at = ?, ended_at = ?, began = 1, suspect = 0, node = null
where key = ? and claim = ? and state = 3 and verdict is null
"""
TELL = "insert into event (task, first, claim, attempt, body) values (?, 2, ?, ?, ?)"


def connect(path: Path) -> apsw.Connection:
    """Open a store with duly's settings: a log, on the disk when a commit returns. SQLite itself keeps it short."""
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(10_000)
    for pragma in ("journal_mode = wal", "synchronous = full", "cache_size = -65536", "temp_store = memory"):
        connection.execute(f"pragma {pragma}").fetchall()
    return connection


class Rows:
    """Tasks to be stored one by one: as duly stored one, with ids and ranks that grow as its own do."""

    def __init__(self, trial: Trial) -> None:
        trial.submit("bench:noop", 1, {"blob": BLOB})
        connection = connect(trial.store)
        found = connection.execute("select * from task")
        columns = [name for name, *_ in found.get_description()]
        row = list(found.fetchall()[0])
        connection.execute("delete from task")
        connection.close()
        row[columns.index("key")] = None
        self._take(columns, row)
        self.insert = f"insert into task ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"

    def _take(self, columns: list[str], row: list[Any]) -> None:
        """Begin with this row."""
        self._row = row
        self._id, self._rank, self._submitted = map(columns.index, ("id", "rank", "submitted"))
        self._numbers = itertools.count(1)
        self._family = "ffffffff"

    def id_of(self, row: list[Any]) -> str:
        """The id of a task."""
        return str(row[self._id])

    def others(self) -> Self:
        """The same from here on, with other ids: for another process."""
        self._family = "fffffffe"
        return self

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        row, number = self._row, next(self._numbers)
        row[self._id] = f"{self._family}-{number:027x}"
        row[self._rank] += 1
        row[self._submitted] += 1
        return row


def insert_many(connection: apsw.Connection, rows: Rows, count: int) -> None:
    """Store so many, up to 10,000 in a commit."""
    for first in range(0, count, MOST_ROWS):
        connection.execute("begin immediate")
        connection.executemany(rows.insert, (list(next(rows)) for _ in range(min(MOST_ROWS, count - first))))
        connection.execute("commit")


def drain(path: Path) -> float:
    """Claim and finish all tasks, with a row of history each; return the seconds it took."""
    connection = connect(path)
    lanes: list[Any] = connection.execute("select distinct lane from task").fetchall()
    ((lane,),) = lanes
    since = time.perf_counter()
    held = _cycle(connection, lane, [])
    while held:
        held = _cycle(connection, lane, held)
    passed = time.perf_counter() - since
    connection.close()
    return passed


def _cycle(connection: apsw.Connection, lane: int, held: list[Any]) -> list[Any]:
    """One transaction: finish what is held, claim as many more; return those."""
    now = time.time_ns() // 1000
    events = f'[["start",{now},null],["success",{now},null]]'
    connection.execute("begin immediate")
    connection.executemany(FINISH, [(now, now, key, claim) for key, claim, *_ in held])
    connection.executemany(TELL, [(key, claim, attempt, events) for key, claim, attempt, *_ in held])
    claims = connection.execute(CHOOSE, (lane, BATCH)).fetchall()
    connection.execute(CLAIM, (json.dumps([key for key, *_ in claims]),))
    connection.execute("commit")
    return claims
