"""Trials on PostgreSQL: each has a server of its own, as it comes, that keeps what it acknowledges."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import psycopg

from bench.sides import Side
from bench.trial import PATIENCE, Failed, Trial, scratch
from tools.server import Postgres, Server

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

LOOK_SECONDS = 0.2

ENDS_A_SECOND = 1_000
"""What is expected at least of a node."""


class ServerTrial(Trial):
    """A side of duly, and a database that nobody else uses."""

    def __init__(self, side: Side, folder: Path, server: Server, database: str) -> None:
        super().__init__(side, folder, server.local_url(database))
        self._server = server
        self._database = database

    def connect(self) -> Connection:
        """Connect to the database, beside duly; its tables are named without their schema."""
        return psycopg.connect(self._server.local_url(self._database), options="-c search_path=duly", autocommit=True)

    def beside(self, name: str) -> ServerTrial:
        """The same side with another database."""
        folder = self.folder / name
        folder.mkdir()
        return ServerTrial(self.side, folder, self._server, self._server.create_database())

    def read(self, sql: str, values: dict[str, Any] | None = None) -> Any:
        """The first row that a query of the store has."""
        with self.connect() as connection:
            return connection.execute(sql, values).fetchone()

    def until(self, sql: str, seconds: float = PATIENCE) -> None:
        """Wait until a query says so; raises `Failed` if it does not in time."""
        until = time.monotonic() + seconds
        with self.connect() as connection:
            while connection.execute(sql).fetchone() != (True,):
                self.look()
                if time.monotonic() > until:
                    raise Failed(f"not for {seconds:g} s: {sql}")
                time.sleep(LOOK_SECONDS)

    def until_ended(self, tasks: int) -> None:
        """Wait until so many tasks have ended; at first by the server's statistics, since to count them costs much."""
        seconds = PATIENCE + tasks / ENDS_A_SECOND
        self.until(f"select n_tup_ins >= {tasks} from pg_stat_user_tables where relid = 'ended'::regclass", seconds)
        self.until(f"select count(*) >= {tasks} from ended")


@contextmanager
def on_server(trial: Trial) -> Iterator[ServerTrial]:
    """Have a new server with an empty database, which also tells when what was committed."""
    with Postgres(scratch()) as postgres:
        server = postgres.server()
        server.run("alter system set track_commit_timestamp = on")
        server.stop()
        server.start()
        yield ServerTrial(trial.side, trial.folder, server, server.create_database())
