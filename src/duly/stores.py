"""Which store a url names, and what can be made of it; a driver is loaded when that is done.

The one place that knows both kinds: a file, which is SQLite's, and a schema of a PostgreSQL server.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeAlias

from duly.config import Config
from duly.core import urls
from duly.errors import NotAvailable, OptionInvalid, StoreUnavailable
from duly.ports import Bell, Step, Store

if TYPE_CHECKING:
    from duly.store.postgres.address import Address
    from duly.store.postgres.callers import Caller
    from duly.store.sqlite.backup import Copy

IN_MEMORY = ":memory:"
_BAD = (
    "bad url {0!r}: sqlite:///file, sqlite:////absolute/file or sqlite:///:memory:; for a store on a server "
    "postgresql://user@host/database?schema=duly"
)


class File(NamedTuple):
    """A store in a file, or in memory: SQLite's."""

    path: str

    def __str__(self) -> str:
        return self.path

    @property
    def url(self) -> str:
        """How it is named on a command line."""
        return f"sqlite:///{self.path}"

    def make_store(self) -> Store:
        """Return the store, not opened yet."""
        from duly.store.sqlite.store import SqliteStore  # noqa: PLC0415

        return SqliteStore(self.path)

    def make_bell(self) -> Bell:
        """Return where one who waits can be woken."""
        from duly.store.sqlite.bell import DatagramBell  # noqa: PLC0415

        return DatagramBell()

    def make_node_bell(self) -> Bell:
        """Return where a node can be woken: each by itself."""
        return self.make_bell()

    def part_of(self, connection: Any) -> NoReturn:  # noqa: ARG002 - as on a server
        """Refuse: what somebody does in another database cannot be rolled back with this."""
        raise OptionInvalid(
            f"connection= is for a store in the same PostgreSQL database; this one is {self}, so leave it out"
        )

    def exists(self) -> bool:
        """Whether there is one."""
        return os.path.exists(self.path)

    def copy(self, path: str, *, force: bool) -> Copy:
        """Return a backup that is to be made."""
        from duly.store.sqlite.backup import Copy  # noqa: PLC0415

        return Copy(self.path, path, force=force)

    def steps(self) -> list[Step]:
        """Return the steps of its schema, without a change."""
        from duly.store.sqlite.file import steps_of  # noqa: PLC0415

        return steps_of(self.path)


class Server:
    """A store in a schema of a PostgreSQL server. Its password is in none of its names."""

    def __init__(self, url: str, config: Config) -> None:
        self._conninfo, schema = urls.divided(url)
        self._schema = config.schema if schema is None else urls.check_schema(schema)
        self._lease = config.lease
        self._allow_unsafe = config.allow_unsafe
        self.url = urls.shown(url)

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Server({self.url!r})"

    def make_store(self) -> Store:
        """Return the store, not opened yet."""
        self._address()
        from duly.store.postgres.store import PostgresStore  # noqa: PLC0415

        return PostgresStore(self._conninfo, self._schema, lease=self._lease, allow_unsafe=self._allow_unsafe)

    def make_bell(self) -> Bell:
        """Return where one who waits can be woken."""
        address = self._address()
        from duly.store.postgres.bell import ServerBell  # noqa: PLC0415

        return ServerBell(address)

    def make_node_bell(self) -> Bell:
        """Return where a node can be woken: with all others of this store."""
        address = self._address()
        from duly.store.postgres.bell import node_bell  # noqa: PLC0415

        return node_bell(address)

    def part_of(self, connection: Any) -> Caller:
        """Return the transaction that a connection is in, to store tasks by it."""
        address = self._address()
        from duly.store.postgres.callers import Caller  # noqa: PLC0415

        return Caller(connection, address)

    def exists(self) -> bool:
        """Whether there is one; raises `StoreError` if that cannot be told."""
        return any(step.applied_at is not None for step in self.steps())

    def copy(self, path: str, *, force: bool) -> NoReturn:  # noqa: ARG002 - as of a file
        """Refuse: a server has better means, and keeps more than this store."""
        raise NotAvailable(
            f"{self.url}: duly backup copies a file; of a store on a server make one with its own tools: "
            f"pg_dump --format=custom --schema={self._schema} DATABASE > {path}"
        )

    def steps(self) -> list[Step]:
        """Return the steps of its schema, without a change; where there is none yet, all are to be taken."""
        address = self._address()
        from duly.store.postgres.schema import look  # noqa: PLC0415

        return look(address, allow_unsafe=self._allow_unsafe)

    def driver(self) -> str:
        """Return the library that talks to the server, and its version; raises `StoreUnavailable`."""
        self._address()
        from duly.store.postgres.connection import driver  # noqa: PLC0415

        return driver()

    def _address(self) -> Address:
        """Where it is; raises `StoreUnavailable` if nothing is installed that could talk to it."""
        try:
            from duly.store.postgres.address import address_of  # noqa: PLC0415
        except ImportError as error:
            raise StoreUnavailable(
                f"{self.url}: needs a driver that is not installed: pip install 'duly[postgres]' ({error})"
            ) from None
        return address_of(self._conninfo, self._schema)


Place: TypeAlias = File | Server


def place_of(config: Config) -> Place:
    """Return the place that a url names; raises `OptionInvalid`."""
    url = config.url
    if urls.on_server(url):
        return Server(url, config)
    path = url.removeprefix("sqlite:///")
    if path in ("", url):
        raise OptionInvalid(_BAD.format(urls.shown(url)))
    return File(path if path == IN_MEMORY else os.path.abspath(path))
