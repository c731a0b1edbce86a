"""SQLite by hand: the tables and rows of duly's own store, its settings, and none of its code."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw

from bench.trial import Trial

BLOB = "x" * 89
"""What makes the payload `{"blob":"..."}` 100 bytes long."""

BATCH = 500
"""Tasks claimed and tasks finished in one transaction: about what a busy node has in its."""

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
        self._row: list[Any] = list(found.fetchall()[0])
        connection.close()
        self.insert = f"insert into task ({', '.join(columns)}) values ({', '.join('?' * len(columns))})"
        self._key, self._id, self._rank, self._submitted = map(columns.index, ("key", "id", "rank", "submitted"))
        self._row[self._key] = None
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[list[Any]]:
        return self

    def __next__(self) -> list[Any]:
        row, number = self._row, next(self._numbers)
        row[self._id] = f"ffffffff-{number:027x}"
        row[self._rank] += 1
        row[self._submitted] += 1
        return row


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
