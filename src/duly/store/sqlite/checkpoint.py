"""Keeping the write-ahead log short, off the path of writers.

A thread with a connection of its own copies the log into the database (PASSIVE, which waits for nobody) each time it
has grown by 4 MB. Beside a busy writer that never quite reaches the end, and the log would grow for ever; so when
little is left the writer itself finishes between two transactions, and its next one begins the log anew in the same
file: overwriting is several times faster than growing. Nobody ever waits for readers (RESTART and TRUNCATE would).
"""

from __future__ import annotations

import threading
from contextlib import suppress

import apsw

from duly.errors import StoreError
from duly.store.sqlite.connection import open_connection

FRAMES = 1_000
"""Pages of 4 KiB that the log grows by before they are copied."""

FEW = 256
"""Pages that a writer copies itself."""


class Checkpointer:
    """Watches the log of one database for the writer whose connection this is."""

    def __init__(self, path: str, connection: apsw.Connection) -> None:
        self._path = path
        self._connection = connection
        self._frames = 0
        self._copied = 0
        self._wanted = threading.Event()
        self._under_way = False
        self._finish = False
        self._over = False
        self._thread: threading.Thread | None = None
        connection.set_wal_hook(self._on_commit)

    def _on_commit(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self._frames = frames
        if frames < self._copied:
            self._copied = 0
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """To be called by the writer between transactions, with the gate in its hands."""
        if self._finish:
            self._finish = False
            self._checkpoint(self._connection)
        elif self._frames - self._copied >= FRAMES and not self._under_way:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="duly-checkpoint", daemon=True)
                self._thread.start()
            self._under_way = True
            self._wanted.set()

    def _run(self) -> None:
        try:
            connection = open_connection(self._path)
        except StoreError:
            return
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._over:
                break
            self._checkpoint(connection)
            self._under_way = False
        connection.close()

    def _checkpoint(self, connection: apsw.Connection) -> None:
        with suppress(apsw.Error):
            frames, self._copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._finish = 0 < frames - self._copied <= FEW

    def close(self) -> None:
        """End the thread."""
        self._over = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
