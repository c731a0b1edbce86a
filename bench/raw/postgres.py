"""PostgreSQL by hand: the tables and rows of duly's own store, and none of its code. One connection, psycopg alone."""

from __future__ import annotations

import itertools
import time
from typing import Any

from bench.raw.store import BLOB, Rows
from bench.server import Connection, ServerTrial

BATCH = 100
"""Tasks claimed and tasks finished in one transaction."""

MOST_ROWS = 10_000
"""As many rows as are copied in one transaction."""

CLAIM = """
update task set state = 3, claim = claim + 1, attempt = attempt + 1, node = 1, claimed_in = 1
where key = any(array(
    select key from task where lane = 1 and state = 2 and suspect = 0
    order by band, rank, key limit %s for no key update skip locked
))
returning key, claim, attempt, id, band, rank, submitted, bell, origin, options, info, payload
"""

_KEPT = """key, rank, submitted, run_at, claimed_in, lane, claim, node, attempt, deaths, losses, cleanup, band, suspect,
    verdict, id, cause, reason, error, info, owed, bell, origin, options, payload"""

FINISH = f"""
with done as (select * from unnest(%s::bigint[], %s::integer[], %s::bigint[]) as done (task, held, at)),
gone as (delete from task using done where key = task and claim = held and state = 3 returning task.*, at),
moved as (
    insert into ended ({_KEPT}, state, seq, value, started_at, ended_at, began)
    select {_KEPT}, 4, seq + 2, 'null', at, at, 1 from gone
)
insert into event (task, first, claim, attempt, body)
select key, 2, claim, attempt, '[["start",' || at || ',null],["success",' || at || ',null]]' from gone
"""


class ServerRows(Rows):
    """Tasks to be stored one by one: as duly stored one, with ids and ranks that grow as its own do."""

    def __init__(self, trial: ServerTrial) -> None:
        trial.submit("bench:noop", 1, {"blob": BLOB})
        with trial.connect() as connection:
            found = connection.execute("select * from task")
            columns = [column.name for column in found.description or ()]
            row = list(found.fetchall()[0])
            connection.execute("delete from task")
        key = columns.index("key")  # the database's own business
        del columns[key], row[key]
        self._take(columns, row)
        self.insert = f"insert into task ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
        self.copy = f"copy task ({', '.join(columns)}) from stdin"


def insert_one_by_one(trial: ServerTrial, seconds: float) -> float:
    """Insert rows, a commit for each; return how many a second."""
    rows = ServerRows(trial)
    with trial.connect() as connection:
        count, since = 0, time.perf_counter()
        while (passed := time.perf_counter() - since) < seconds:
            connection.execute(rows.insert, next(rows), prepare=True)
            count += 1
    return count / passed


def copy_many(trial: ServerTrial, count: int) -> float:
    """Copy so many rows, up to 10,000 in a commit; return how many a second."""
    rows = ServerRows(trial)
    with trial.connect() as connection:
        since = time.perf_counter()
        for first in range(0, count, MOST_ROWS):
            with connection.cursor().copy(rows.copy) as copy:
                for row in itertools.islice(rows, min(MOST_ROWS, count - first)):
                    copy.write_row(row)
        return count / (time.perf_counter() - since)


def drain(trial: ServerTrial) -> float:
    """Claim and finish all tasks, with a row of history each; return the seconds it took."""
    with trial.connect() as connection:
        connection.prepare_threshold = 0
        since = time.perf_counter()
        held = _cycle(connection, [])
        while held:
            held = _cycle(connection, held)
        return time.perf_counter() - since


def _cycle(connection: Connection, held: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """One transaction in one round trip: finish what is held, claim as many more; return those."""
    now = time.time_ns() // 1000
    with connection.pipeline(), connection.transaction():
        if held:
            connection.execute(FINISH, ([key for key, *_ in held], [claim for _, claim, *_ in held], [now] * len(held)))
        claims = connection.execute(CLAIM, (BATCH,))
    return claims.fetchall()
