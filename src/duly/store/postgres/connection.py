"""Connecting so that duly's promises hold: a primary that is new enough, writes to its disk, and is duly's own.

Nothing is set for the length of a session, since a pooler between may give each transaction another one. What is to
hold is asked for at the connect, or set within a transaction.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from duly.errors import StoreReadOnly, StoreUnavailable
from duly.store.postgres.address import Address

T = TypeVar("T")

OLDEST = 140_000
"""The oldest version of PostgreSQL, as it tells it itself."""

ANSWER_SECONDS = 10.0
"""How long an answer is waited for before the way to the server is taken for broken."""

LOCK_SECONDS = 8.0
"""How long others' locks are waited for at most; a little less than answers are."""

PLAN_SECONDS = 5.0
"""How long a plan is good for: one that was made for a table without tasks is no good for one that is full of them."""

READ_SECONDS = 600.0
"""How long it may take where all there is has to be read."""

DEFAULTS = {
    "application_name": "duly",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

_ASK = """
select
    pg_backend_pid(), current_setting('server_version_num')::integer, current_setting('server_version'),
    current_setting('server_encoding'), current_setting('fsync') = 'on',
    current_setting('synchronous_commit'), pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on',
    current_setting('default_transaction_isolation')
"""


class Server(NamedTuple):
    """What a server says of itself and of this session."""

    pid: int
    version: int
    name: str
    encoding: str
    fsync: bool
    commit: str
    standby: bool
    read_only: bool
    isolation: str = "read committed"


class Connection(psycopg.Connection[tuple[object, ...]]):
    """A connection whose answers are not waited for without end; `pooled` if a session of its own is not behind it."""

    pooled = False
    prepared: dict[Any, bytes]
    _names = 0
    _token = ""
    _plans_until = 0.0
    answer_seconds: float | None = ANSWER_SECONDS
    meanwhile: Callable[[], None] | None = None

    def forget_old_plans(self) -> None:
        """Have all be planned anew that was planned for tables as they were some time ago."""
        now = time.monotonic()
        if now >= self._plans_until:
            if self.prepared:
                self.prepared = {}
                self.execute("deallocate all")
            self._plans_until = now + PLAN_SECONDS

    def next_name(self) -> bytes:
        """Return a name that no prepared query has, of whomever: a pooler that is not known may lead to others'."""
        self._token = self._token or os.urandom(6).hex()
        self._names += 1
        return f"duly_{self._token}_{self._names}".encode()

    @contextmanager
    def waited_for(self, seconds: float) -> Iterator[None]:
        """Wait for so long for answers, for once."""
        before, self.answer_seconds = self.answer_seconds, seconds
        try:
            yield
        finally:
            self.answer_seconds = before

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Consume what talks to the server."""
        if self.meanwhile is not None:
            self.meanwhile()
        return super().wait(gen, interval, self.answer_seconds if timeout is None else timeout)


def driver() -> str:
    """Return what talks to servers here: libraries and their versions."""
    major, minor = divmod(psycopg.pq.version(), 10_000)
    return f"psycopg {psycopg.__version__} with libpq {major}.{minor}"


def connect(address: Address, *, allow_unsafe: bool = False) -> Connection:
    """Connect, and refuse what cannot keep duly's promises. Raises the driver's error if nobody can be reached."""
    conninfo = make_conninfo(address.conninfo, **(DEFAULTS | conninfo_to_dict(address.conninfo)))
    connection = Connection.connect(conninfo, autocommit=True, prepare_threshold=None)
    try:
        found = connection.execute(_ASK).fetchone()
        assert found is not None
        server = Server(*found)  # type: ignore[arg-type]
        refuse(server, address, allow_unsafe=allow_unsafe)
        connection.prepared = {}
        connection.pooled = server.pid != connection.info.backend_pid
    except BaseException:
        connection.close()
        raise
    return connection


def refuse(server: Server, address: Address, *, allow_unsafe: bool = False) -> None:
    """Refuse a server by which accepted tasks could be lost, or that this duly cannot talk to."""
    if server.version < OLDEST:
        raise StoreUnavailable(
            f"{address}: PostgreSQL {server.name} is too old; duly needs {OLDEST // 10_000} or newer"
        )
    if server.encoding != "UTF8":
        raise StoreUnavailable(
            f"{address}: the database's encoding is {server.encoding}; make one with encoding 'UTF8'"
        )
    if server.standby or server.read_only:
        what = "is a standby" if server.standby else "has default_transaction_read_only = on"
        raise StoreReadOnly(
            f"{address}: {what}, and may only be read; name the primary, or all hosts and "
            "target_session_attrs=read-write"
        )
    if server.isolation != "read committed":
        raise StoreUnavailable(
            f"{address}: has default_transaction_isolation = {server.isolation}, by which an end that others commit "
            "meanwhile is not seen, and a task stored twice; say: "
            "alter role ... set default_transaction_isolation = 'read committed'"
        )
    unsafe = "fsync = off" if not server.fsync else "synchronous_commit = off" if server.commit == "off" else ""
    if unsafe and not allow_unsafe:
        raise StoreUnavailable(
            f"{address}: the server has {unsafe}, so what it accepts may be lost; turn it on, or say allow_unsafe=True "
            "where that is no harm"
        )
