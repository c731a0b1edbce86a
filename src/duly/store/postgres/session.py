"""One schema of one database, over one connection at a time, used by one thread.

What is to be done again, since the way to the server broke or another transaction was in the way, is done again here.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import psycopg

from duly.errors import DulyError, StoreAway, StoreError, StoreReadOnly
from duly.ports import PATIENCE
from duly.store import migrations, queries
from duly.store.alike import Alike
from duly.store.postgres.address import address_of
from duly.store.postgres.connection import ANSWER_SECONDS, LOCK_SECONDS, READ_SECONDS, Connection, connect
from duly.store.postgres.ringer import Ringer
from duly.store.postgres.rows import STRUCTS
from duly.store.postgres.schema import migrate
from duly.store.postgres.trouble import duly_error, goes_again, is_anothers, is_broken, is_hopeless, unreachable
from duly.store.postgres.wire import Query, Row, carry_out

T = TypeVar("T")

PACKAGE = "duly.store.postgres"

FIRST_SECONDS = 3.0
"""How long a server is tried that was never reached: it may just be starting."""

PAUSE_SECONDS = 0.05
MOST_PAUSE_SECONDS = 0.5
"""So late at most it is noticed that a server is there again; it has to answer all who try meanwhile."""

_NAMED = re.compile(r"(?<![:\w]):(\w+)")
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


class Statement(NamedTuple):
    """A query by its name, and what it is given."""

    query: str
    bindings: Mapping[str, Any] = MappingProxyType({})


_BEGIN, _COMMIT = Statement("begin"), Statement("commit")


class Heard(NamedTuple):
    """What the database's time was, and the monotonic clock when it was asked."""

    now: int
    at: float


@lru_cache(8)
def load(schema: str) -> Mapping[str, Query]:
    """Return all queries for one schema; `claim` is there once for each kind of tasks."""
    found = queries.load(PACKAGE, STRUCTS)
    claim = found.pop("claim")
    for name, (which, gate) in _CLAIMS.items():
        found[name] = claim.replace("{which}", which).replace("{gate}", gate)
    return {name: query_of(sql, schema) for name, sql in {**found, **_FRAME}.items()}


def query_of(sql: str, schema: str) -> Query:
    """Return a query with its schema and the places of its values, and without what it says of itself."""
    plain = " ".join(_COMMENT.sub("", sql).split()).replace("{schema}", f'"{schema}"')
    names = tuple(dict.fromkeys(_NAMED.findall(plain)))
    return Query(_NAMED.sub(lambda match: f"${names.index(match[1]) + 1}", plain).encode(), names)


_FRAME = {"begin": "begin isolation level read committed", "commit": "commit"}
_ANY_CLAIMED = "exists (select from {schema}.task where node = :node and claimed_in = :number and state = 3)"
_SUSPECT_CLAIMED = _ANY_CLAIMED[:-1] + " and suspect > 0)"
_NO_SUSPECT = f"(not :after_suspect or not {_SUSPECT_CLAIMED})"
_CLAIMS = {
    "claim": ("suspect = 0", _NO_SUSPECT),
    "claim_cleanup": ("suspect = 0 and verdict is not null", _NO_SUSPECT),
    "claim_suspect": ("suspect > 0", f"not {_ANY_CLAIMED}"),
    "claim_suspect_cleanup": ("suspect > 0 and verdict is not null", f"not {_ANY_CLAIMED}"),
}
"""Which tasks are claimed, and unless what was claimed by the same exchange."""


_LONG = {
    "dump": READ_SECONDS,
    "dump_runs": READ_SECONDS,
    "stats": READ_SECONDS,
    "tasks_date": ANSWER_SECONDS,
    "tasks_newest": ANSWER_SECONDS,
}
"""What may have to read much, and how many seconds it may take for that."""


class Session(Alike):
    """The connection, made when it is needed and made anew when it breaks."""

    def __init__(self, conninfo: str, schema: str = "duly", *, lease: float = 30.0, allow_unsafe: bool = False) -> None:
        self.address = address_of(conninfo, schema)
        self._where = str(self.address)
        self._steps = migrations.load(PACKAGE)
        self._lease = lease
        self.patience = PATIENCE
        self._allow_unsafe = allow_unsafe
        self._sql = load(self.address.schema)
        self._connection: Connection | None = None
        self._heard: Heard | None = None
        self._asked_at = 0.0
        self._ringer = Ringer(schema)
        self._lives: set[int] = set()  # the nodes that this process lives as
        self._unsure: dict[int, int] = {}
        self._open = False
        self._pooled = False
        self._meanwhile: Callable[[], None] = _nothing

    @property
    def lease(self) -> float:
        """Seconds after which a node that was not heard is given up."""
        return self._lease

    # opening
    def open(self) -> None:
        """Connect, with the schema made or migrated if need be."""
        self._open = True
        try:
            self._insist(lambda connection, _: migrate(connection, self.address, self._steps))
            self._hear(self._rows("now")[0][0])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the database; safe to call twice."""
        self.let_go()
        self._open, self._heard = False, None

    def let_go(self) -> None:
        """Close the connection; the next verb makes another one, and nodes live on."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                connection.close()

    def meanwhile(self, do: Callable[[], None]) -> bool:
        """Have this done each time before the server is waited for."""
        self._meanwhile = do
        if self._connection is not None:
            self._connection.meanwhile = do
        return True

    def now(self) -> int:
        """Return the database's time, as it was heard last and has gone on since; rather too late than too early.

        What is told to happen after others have stored something is not to be told as happened before.
        """
        heard = self._heard
        assert heard is not None, "the store is not open"
        return heard.now + int((time.monotonic() - heard.at) * 1e6)

    def _hear(self, now: int) -> int:
        """Note the time that the last answer told: it was that when it was asked, or soon after."""
        self._heard = Heard(now, self._asked_at)
        return now

    # talking
    def _rows(self, query: str, /, **bindings: Any) -> list[Row]:
        """Carry out one query, as a transaction of its own."""
        if query in _LONG:
            return self._read(query, _LONG[query], bindings)
        return self._insist(lambda connection, _: self._ask(connection, query, bindings))

    def _several(self, values: Sequence[str | int]) -> list[str | int]:
        return list(values)

    def _read(self, query: str, seconds: float, bindings: Mapping[str, Any]) -> list[Row]:
        """Carry out a query that may have to read much; raises `StoreError` if it takes more than so many seconds.

        A node that lives by this connection is not heard meanwhile, so it may take a part of its lease. The server ends
        it: one that was only waited for no longer would go on there, and another one beside it.
        """
        if self._lives:
            seconds = min(seconds, self.lease / 3)
        bound = Statement("bound", {"milliseconds": f"{1000 * seconds:.0f}"})

        def once(connection: Connection, _again: bool) -> list[Row] | None:
            try:
                with connection.waited_for(seconds + ANSWER_SECONDS):
                    return self._ask_all(connection, [bound, Statement(query, bindings)])[1]
            except psycopg.errors.QueryCanceled:
                if time.monotonic() - self._asked_at < seconds:  # somebody else has ended it
                    raise
                return None

        rows = self._insist(once)
        if rows is None:
            raise StoreError(
                f"{self.address}: reading took longer than {seconds:g} s and was given up; ask for less, "
                "or in a process that runs no tasks"
            )
        return rows

    def _transact(self, *statements: Statement, durable: bool = True) -> list[list[Row]]:
        """Carry out statements in one transaction and one round trip; return the rows of each.

        What need not be durable is not waited for at the commit.
        """
        return self._insist(lambda connection, _: self._carry_out(connection, statements, durable=durable))

    def _carry_out(
        self,
        connection: Connection,
        statements: Sequence[Statement],
        *,
        durable: bool = True,
        ring: Sequence[str] = (),
    ) -> list[list[Row]]:
        """Carry out statements in one transaction; bells are rung right after it, in the same round trip."""
        guard = Statement("guard", {"durable": durable, "patience": self._lock_patience()})
        return self._ask_all(connection, [_BEGIN, guard, *statements, _COMMIT], ring)[2:-1]

    def _ask(self, connection: Connection, query: str, bindings: Mapping[str, Any]) -> list[Row]:
        return self._ask_all(connection, [Statement(query, bindings)])[0]

    def _call(self, connection: Connection, query: str, bindings: Mapping[str, Any], ring: Sequence[str]) -> list[Row]:
        """Carry out one query, as a transaction of its own, and ring bells right after it.

        Not before its commit, since one that rings holds up all others.
        """
        if not ring:
            return self._ask(connection, query, bindings)
        return self._ask_all(connection, [_BEGIN, Statement(query, bindings), _COMMIT], ring)[1]

    def _ask_all(
        self, connection: Connection, statements: Sequence[Statement], ring: Sequence[str] = ()
    ) -> list[list[Row]]:
        sql = self._sql
        self._asked_at = time.monotonic()
        asked = [(sql[statement.query], statement.bindings) for statement in statements]
        return carry_out(connection, asked, then=[(sql["ring"], {"channels": ring})] if ring else [])

    def _ring(self, channels: Sequence[str]) -> None:
        """Ring bells; as they are hints, no trouble with them is anybody's, and nobody waits for its end."""
        if channels and self._connection is not None:
            try:
                self._ask(self._connection, "ring", {"channels": channels})
            except BaseException as error:
                self.let_go()
                if not isinstance(error, psycopg.Error):
                    raise

    def _insist(self, do: Callable[[Connection, bool], T]) -> T:
        """Do it, again and again within `patience` where it was nobody's fault; tells it if it may have been done.

        A connection that breaks says nothing of the server: another one is tried in any case, and once at least.
        Raises duly's errors, or what is raised besides; then nothing is left under way.
        """
        until, pause = time.monotonic() + self._patience(), PAUSE_SECONDS
        tried = again = False
        while True:
            connection: Connection | None = None
            try:
                connection = self._connected()
                return do(connection, again)
            except psycopg.Error as error:
                late = time.monotonic() + pause > until and (tried or connection is None)
                tried = tried or connection is not None
                again = again or (connection is not None and is_broken(error, connection))
                if not self._passes(error, connection) or late:
                    raise self._told(error, connection) from error
            except StoreReadOnly as error:  # whoever takes over for a primary may not be it yet
                if self._heard is None:
                    raise
                if time.monotonic() + pause > until:
                    raise StoreAway(str(error)) from error
            except BaseException:
                self.let_go()
                raise
            self._meanwhile()
            time.sleep(pause * random.uniform(0.5, 1))
            pause = min(2 * pause, MOST_PAUSE_SECONDS)

    def _patience(self) -> float:
        return self.patience if self._heard is not None else min(self.patience, FIRST_SECONDS)

    def _lock_patience(self) -> str:
        """How long others' locks are waited for, as PostgreSQL takes it; a node is not heard meanwhile."""
        seconds = min(self.patience, LOCK_SECONDS, self.lease / 6 if self._lives else LOCK_SECONDS)
        return f"{1000 * max(0.001, seconds):.0f}ms"

    def _connected(self) -> Connection:
        assert self._open, "the store is not open"
        if self._connection is None:
            self._meanwhile()
            self._connection = connect(self.address, allow_unsafe=self._allow_unsafe)
            self._connection.meanwhile = self._meanwhile
            self._pooled = self._connection.pooled = self._connection.pooled or self._pooled
        return self._connection

    def _passes(self, error: psycopg.Error, connection: Connection | None) -> bool:
        """Clear up after an error; whether it makes sense to try again."""
        if is_broken(error, connection):
            self.let_go()
            return not is_hopeless(error)
        assert connection is not None
        if is_anothers(error) and not self._pooled:
            self._pooled = True  # by a pooler that was not known as one: from now on nothing is prepared
            self.let_go()
            return True
        try:
            connection.rollback()
        except psycopg.Error:
            self.let_go()
            return True
        return goes_again(error)

    def _told(self, error: psycopg.Error, connection: Connection | None) -> DulyError:
        return unreachable(error, self.address) if connection is None else duly_error(error, self.address)


def _nothing() -> None:
    return None
