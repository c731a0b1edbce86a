"""A store's file: opened and let go of, read, and written when its turn has come."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any, TypeVar

import apsw
import msgspec

from duly.core.task import Change, Release
from duly.errors import StoreError, StoreUnavailable
from duly.ports import PATIENCE, CancelAsked, Rejection, Step, Submission
from duly.store import migrations, queries
from duly.store.alike import Alike
from duly.store.rows import text
from duly.store.sqlite import lockfile
from duly.store.sqlite.bell import Ringer
from duly.store.sqlite.checkpoint import Checkpointer
from duly.store.sqlite.connection import (
    FAILED_SYNC,
    applied,
    duly_error,
    error_of_system,
    is_failed_sync,
    migrate,
    open_connection,
    translated,
)
from duly.store.sqlite.rows import Succeeded, Told
from duly.store.sqlite.whereabouts import Whereabouts

T = TypeVar("T")

PACKAGE = "duly.store.sqlite"
STRUCTS: dict[str, type[msgspec.Struct]] = {
    "Change": Change,
    "Succeeded": Succeeded,
    "Told": Told,
    "Submission": Submission,
    "CancelAsked": CancelAsked,
    "Release": Release,
    "Rejection": Rejection,
}
GATE_SECONDS = 1.0
"""How long a writer waits for its turn before it tries without."""


def wall_clock() -> int:
    """Return the time in microseconds since 1970."""
    return time.time_ns() // 1000


def steps_of(path: str) -> list[Step]:
    """Return the steps of a store's schema, those that are still to be taken at the end; changes nothing."""
    if path != ":memory:" and not os.path.exists(path):
        raise StoreUnavailable(f"there is no store {path}")
    connection = open_connection(path)
    with closing(connection), translated(path):
        taken = [Step(*step) for step in applied(connection)]
    known = {step.number for step in taken}
    todo = [step for step in migrations.load(PACKAGE) if step.number not in known]
    return [*taken, *(Step(step.number, step.kind, step.name, None) for step in todo)]


class StoreFile(Alike):
    """One connection to one file (or `:memory:`), used by one thread."""

    def __init__(self, path: str, clock: Callable[[], int] = wall_clock) -> None:
        self.path = self._where = path
        self._steps = migrations.load(PACKAGE)
        self._patience = PATIENCE
        self._clock = clock
        self._sql: dict[str, str] = {}
        self._connection: apsw.Connection | None = None
        self._lockfile: lockfile.LockFile | lockfile.Alone | None = None
        self._checkpointer: Checkpointer | None = None
        self._whereabouts: Whereabouts | None = None
        self._ringer: Ringer | None = None
        self._failed: BaseException | None = None
        self._durable: bool | None = True
        self._let_go = False
        self._bells: Sequence[str] = ()
        self._bells_as_of = -1

    @property
    def patience(self) -> float:
        """Seconds that others are waited for."""
        return self._patience

    @patience.setter
    def patience(self, seconds: float) -> None:
        self._patience = seconds
        if self._connection is not None:
            self._connection.set_busy_timeout(int(seconds * 1000))

    def meanwhile(self, _do: Callable[[], None]) -> bool:
        """A file is not far."""
        return False

    def now(self) -> int:
        """Return the time by this store's clock."""
        return self._clock()

    # opening
    def open(self) -> None:
        """Open the file, made new or migrated if need be."""
        self._sql, self._failed, self._durable = queries.load(PACKAGE, STRUCTS), None, True
        self._connection = open_connection(self.path)
        try:
            migrate(self._connection, self.path, self._steps, self._clock())
            self._ringer = Ringer()
            self._lockfile = lockfile.hold(self.path)
            self._watch_over(self._connection)
        except OSError as error:
            self.close()
            raise error_of_system(error, f"{self.path}-duly") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self._disconnect()
        self._whereabouts = None
        self._let_go = False
        if self._lockfile is not None:
            lockfile.release(self._lockfile)
            self._lockfile = None
        if self._ringer is not None:
            self._ringer.close()
            self._ringer = None

    def _disconnect(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._failed = self._failed or self._checkpointer.failed
            self._checkpointer = None
        if self._connection is not None:
            with suppress(apsw.Error):  # what was committed is in the log, should the disk refuse to have it emptied
                self._connection.close()
            self._connection = None

    def let_go(self) -> None:
        """Let go of the file for a fork; nodes live on, and the next verb opens it again.

        A child inherits what SQLite keeps in memory of the locks that its parent holds, and would take them for its
        own: it would then write into files that others are free to delete.
        """
        if self._connection is not None and self.path != ":memory:":
            self._disconnect()
            if self._whereabouts is not None:
                self._whereabouts.forget("-wal")  # which goes with the last connection
            self._let_go = True

    def _connect_again(self) -> apsw.Connection:
        assert self._let_go, "the store is not open"
        connection = self._open_beside()
        self._durable = True
        self._watch_over(connection)
        self._connection = connection
        return connection

    def _connected(self) -> apsw.Connection:
        """The connection to the file, if that is still there."""
        connection = self._connection or self._connect_again()
        if self._whereabouts is not None:
            self._whereabouts.check()
        return connection

    def _open_beside(self) -> apsw.Connection:
        """Open the same file once more: it is neither made anew, nor another one that was put in its place."""
        if self._whereabouts is not None:
            self._whereabouts.look()
        return open_connection(self.path)

    def _watch_over(self, connection: apsw.Connection) -> None:
        """Keep the log short, and an eye on the files."""
        if self.path != ":memory:":
            assert self._lockfile is not None
            self._whereabouts = Whereabouts(self.path, "-duly", "-wal")
            self._checkpointer = Checkpointer(self._open_beside, connection, self._lockfile.leave)

    def _run(self, query: str, /, **bindings: Any) -> Any:
        cursor: Any = self._connected().execute(self._sql[query], bindings)
        return cursor

    def _rows(self, query: str, /, **bindings: Any) -> list[Any]:
        with translated(self.path, self._connected()):
            rows: list[Any] = self._run(query, **bindings).fetchall()
            return rows

    def _several(self, values: Sequence[str | int]) -> str:
        return text(values) or "[]"

    # writing
    def _write(self, what: Callable[[apsw.Connection], T], *, durable: bool = True) -> T:
        """Do what writes when its turn has come; after a while go on without, SQLite's own lock still holds.

        What is not durable survives the end of its process, but perhaps not that of the machine. An interrupt anywhere
        leaves nothing locked; hence no context manager made of a generator, which a kept traceback would keep open.
        """
        connection = self._connected()
        assert self._lockfile is not None
        self._refuse_after_failed_sync()
        with self._lockfile.turn:
            try:
                entered = self._lockfile.enter(min(GATE_SECONDS, self.patience))
                self._roll_back()  # what an interrupt may have left
                self._set_durable(durable=durable)
                result = what(connection)
                if entered and self._checkpointer is not None:
                    self._checkpointer.after_commit()
            except BaseException as error:
                if is_failed_sync(error):
                    self._failed = error
                told = duly_error(error, self.path, connection) if isinstance(error, apsw.Error) else None
                self._roll_back()
                if isinstance(error, apsw.ReadOnlyError):
                    self.let_go()  # its log may have been opened in a bad moment
                if told is not None:
                    raise told from error
                raise
            finally:
                self._lockfile.leave()
        return result

    def _transact(self, what: Callable[[apsw.Connection], T], *, durable: bool = True) -> T:
        """Do it holding the write lock, and commit at the end."""

        def transaction(connection: apsw.Connection) -> T:
            connection.execute("begin immediate")
            result = what(connection)
            if connection.in_transaction:
                connection.execute("commit")
            return result

        return self._write(transaction, durable=durable)

    def _set_durable(self, *, durable: bool) -> None:
        assert self._connection is not None
        if durable is not self._durable:
            self._durable = None  # unknown, should this be interrupted
            self._connection.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._durable = durable

    def _refuse_after_failed_sync(self) -> None:
        """Accept nothing more once data could not be brought to the disk: the system may have dropped it in silence."""
        failed = self._failed or (self._checkpointer.failed if self._checkpointer is not None else None)
        if failed is not None:
            raise StoreUnavailable(f"{self.path}: {FAILED_SYNC}") from failed

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("rollback")

    # telling
    def _ring_nodes(self) -> None:
        """Ring all nodes; who they are is read again when one has come or gone. What was done stays so without."""
        assert self._lockfile is not None
        assert self._ringer is not None
        changes = self._lockfile.changes()  # before the bells are read: who comes meanwhile is not missed next time
        if changes != self._bells_as_of:
            with suppress(StoreError):
                self._bells, self._bells_as_of = [bell for (bell,) in self._rows("bells", node=None)], changes
        self._ringer.ring(self._bells)
