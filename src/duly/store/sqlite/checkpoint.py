"""Keeping the write-ahead log short, off the path of writers.

A thread with a connection of its own copies the log into the database (PASSIVE, which waits for nobody) each time it
has grown by 4 MB. Beside a busy writer that never quite reaches the end, and the log would grow for ever; so when
little is left the writer itself finishes between two transactions, and its next one begins the log anew in the same
file: overwriting is several times faster than growing. Nobody ever waits for readers (RESTART and TRUNCATE would).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import apsw

from duly.errors import StoreError
from duly.store.sqlite.connection import is_failed_sync

FRAMES = 1_000
"""Pages of 4 KiB that the log grows by before they are copied."""

FEW = 256
"""Pages that a writer copies itself."""

PASSES = 4
"""How often the thread goes after what was written meanwhile, before it leaves it to the next time."""


class Checkpointer:
    """Watches the log of one database for the writer whose connection this is; `open_beside` makes another one.

    `committed` is called at each commit as soon as Python can be: others need not wait until the statement returns,
    which a busy thread delays.
    """

    def __init__(
        self, open_beside: Callable[[], apsw.Connection], connection: apsw.Connection, committed: Callable[[], None]
    ) -> None:
        self._open_beside = open_beside
        self._committed = committed
        self._connection = connection
        self._frames = 0  # in the log, as of this writer's last commit
        self._copied = 0
        self._due = FRAMES
        self._wanted = threading.Event()
        self._under_way = False
        self._finish = False
        self.failed: apsw.Error | None = None
        """A sync that failed."""
        self._over = False
        self._thread: threading.Thread | None = None
        connection.set_wal_hook(self._on_commit)

    def _on_commit(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self._committed()
        if frames < self._frames:  # the log was begun anew
            self._copied, self._due = 0, FRAMES
        self._frames = frames
        return apsw.SQLITE_OK

    def after_commit(self) -> None:
        """To be called by the writer between transactions."""
        if self._under_way:
            return
        if self._finish and self._left() <= FEW:
            self._checkpoint(self._connection)
            self._finish = False
        elif self._frames >= self._due:
            self._wake()

    def _left(self) -> int:
        return self._frames - self._copied

    def _wake(self) -> None:
        self._due = self._frames + FRAMES
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="duly-checkpoint", daemon=True)
            with suppress(RuntimeError):  # no more threads just now; what was committed stays so
                thread.start()
                self._thread = thread
        self._under_way = self._thread is not None
        self._wanted.set()

    def _run(self) -> None:
        connection: apsw.Connection | None = None
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._over:
                break
            with suppress(StoreError, apsw.Error):  # it is tried again when the log has grown as much once more
                connection = connection or self._open_beside()
                self._follow(connection)
            self._under_way = False
        if connection is not None:
            with suppress(apsw.Error):
                connection.close()

    def _follow(self, connection: apsw.Connection) -> None:
        """Copy, and copy what was written meanwhile, until little is left or a reader is in the way."""
        for _ in range(PASSES):
            before = self._copied
            self._checkpoint(connection)
            self._finish = self._left() <= FEW
            if self._finish or self._copied == before or self._over:
                break
        self._due = self._frames + FRAMES

    def _checkpoint(self, connection: apsw.Connection) -> None:
        # What is copied is counted against the writer's own count: the call's counts the frames it began with.
        try:
            _, self._copied = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as error:
            if is_failed_sync(error):
                self.failed = error

    def close(self) -> None:
        """End the thread."""
        self._over = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
