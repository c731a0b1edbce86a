"""Opening one SQLite file so that its promises hold, and duly's words for what SQLite may answer."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import apsw

from duly.core.record import refusal
from duly.errors import (
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreMoved,
    StoreReadOnly,
    StoreUnavailable,
)
from duly.store.migrations import Migration, refuse_newer
from duly.store.sqlite.filesystem import refuse_shared

APPLICATION_ID = 0x64756C79
"""Written into the file's header: "duly"."""

OLDEST_SQLITE = 3_051_003
"""Versions before this one can corrupt a database in WAL mode (the WAL-reset bug), but for two maintained branches."""

_MENDED_BRANCHES = {3_050: 3_050_007, 3_044: 3_044_006}
BUSY_MS = 10_000
_FAILED_SYNCS = (apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC)
FAILED_SYNC = (
    "a sync has failed, so what is on the disk is not known; check the disk, then open the store anew by starting this "
    "program again"
)
_OF_THE_SYSTEM = (apsw.CantOpenError, apsw.IOError)
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""SQLite knows the first alone: a quota, or a limit of file sizes, is an I/O error to it."""

# Closing a descriptor of a file drops the locks that SQLite has on it in this process: none may be open but its own.
_making = threading.Lock()

_PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,
    "wal_autocheckpoint": 0,
    "foreign_keys": 0,
    "temp_store": 2,
    "cache_size": -65536,
    "mmap_size": 0,
}
_OF_MEMORY = {"journal_mode": "memory", "mmap_size": None, "wal_autocheckpoint": None}


def is_safe(version: int) -> bool:
    """Whether a SQLite of this version number (3051003 for 3.51.3) is free of the WAL-reset bug.

    >>> is_safe(3_040_001), is_safe(3_051_003), is_safe(3_050_007), is_safe(3_006_000)
    (False, True, True, False)
    """
    return version >= OLDEST_SQLITE or version >= _MENDED_BRANCHES.get(version // 1000, version + 1)


@contextmanager
def translated(path: str, connection: apsw.Connection | None = None) -> Iterator[None]:
    """Turn the driver's exceptions into duly's."""
    try:
        yield
    except apsw.Error as error:
        raise duly_error(error, path, connection) from error


def duly_error(error: apsw.Error, path: str, connection: apsw.Connection | None = None) -> StoreError:
    """Return duly's own error for one of the driver's, with its cause and its cure."""
    number = connection.system_errno if connection is not None and isinstance(error, _OF_THE_SYSTEM) else 0
    told = f"{error}: {os.strerror(number)}" if number else str(error)
    match error:
        case apsw.IOError() if is_failed_sync(error):
            return StoreUnavailable(f"{path}: {FAILED_SYNC} ({told})")
        case apsw.IOError() if number in NO_ROOM:
            return StoreFull(f"{path}: no space left on the disk; make room, then it goes on ({told})")
        case apsw.ConstraintError() if getattr(error, "extendedresult", 0) == apsw.SQLITE_CONSTRAINT_TRIGGER:
            return StoreMoved(f"{path}: {refusal(str(error))}")
        case apsw.BusyError() | apsw.LockedError():
            return StoreBusy(f"{path}: another process has held the write lock for more than 10 s ({error})")
        case apsw.FullError():
            return StoreFull(f"{path}: no space left on the disk; make room, then it goes on ({error})")
        case apsw.ReadOnlyError() | apsw.PermissionsError() | apsw.AuthError():
            return StoreReadOnly(
                f"{path}: may not be written; check the owner and mode of the file and its folder ({error})"
            )
        case apsw.NotADBError():
            return StoreForeign(f"{path}: is not an SQLite database")
        case apsw.CorruptError():
            return StoreDamaged(
                f"{path}: is damaged ({error}); restore a backup, or salvage it by `sqlite3 {path} .recover`"
            )
        case apsw.CantOpenError() | apsw.IOError():
            return StoreUnavailable(f"{path}: cannot be used; check its disk and folder ({told})")
        case _:
            return StoreError(f"{path}: {type(error).__name__}: {error}")


def is_failed_sync(error: BaseException) -> bool:
    """Whether the system could not bring data to the disk; the next attempt may seem to succeed, and has not."""
    return isinstance(error, apsw.IOError) and getattr(error, "extendedresult", 0) in _FAILED_SYNCS


def open_connection(path: str) -> apsw.Connection:
    """Open a file (made, for its owner alone, if there is none) or `:memory:`, with every setting read back."""
    if not is_safe(apsw.SQLITE_VERSION_NUMBER):
        raise StoreUnavailable(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a database of several writers (the WAL-reset bug, "
            "sqlite.org/wal.html#walresetbug); install apsw >= 3.51.3"
        )
    if path != ":memory:":
        refuse_shared(path)
        _make_private(path)
    with translated(path):
        connection = apsw.Connection(path)
    try:
        with translated(path, connection):
            _refuse_read_only(connection, path)
            _refuse_foreign(connection, path)
            _configure(connection, path)
    except BaseException:
        with suppress(apsw.Error):
            connection.close()
        raise
    return connection


def _make_private(path: str) -> None:
    """Make the file for its owner alone, or see that it can be written."""
    file = os.path.realpath(path)
    folder = os.path.dirname(file)
    try:
        file.encode()
        with _making:
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.path.isfile(file):
            raise StoreForeign(f"{path}: is not a file") from None
        if not os.access(file, os.W_OK):
            raise StoreReadOnly(f"{path}: may not be written; check the owner and mode of the file") from None
    except FileNotFoundError:
        raise StoreUnavailable(f"{path}: there is no folder {folder}") from None
    except UnicodeEncodeError:
        raise StoreUnavailable(f"{path!r}: the name of the file is not UTF-8") from None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreReadOnly(f"{path}: no file may be made in {folder}") from None
        raise error_of_system(error, path) from None


def error_of_system(error: OSError, path: str) -> StoreError:
    """Return duly's own error for one of the system's, of a file that could not be opened or made."""
    if error.errno in NO_ROOM:
        return StoreFull(f"{path}: no space left on the disk; make room, then try again ({error.strerror})")
    return StoreUnavailable(f"{path}: {error.strerror}")


def _refuse_read_only(connection: apsw.Connection, path: str) -> None:
    """SQLite opens for reading alone what the system does not let it write, be that for want of a descriptor."""
    if connection.readonly("main"):
        raise StoreUnavailable(f"{path}: could not be opened for writing just now, though it may be written")


def _refuse_foreign(connection: apsw.Connection, path: str) -> None:
    connection.set_busy_timeout(BUSY_MS)
    connection.execute("begin")  # one view of both, as another process may be making the store at this moment
    ((tables,),) = connection.execute("select count(*) from sqlite_schema").fetchall()
    ((found,),) = connection.execute("pragma application_id").fetchall()
    connection.execute("rollback")
    if found != APPLICATION_ID and (found or tables):
        raise StoreForeign(f"{path}: is an SQLite database of another program; give duly a file of its own")


def _configure(connection: apsw.Connection, path: str) -> None:
    # Else each execution of a query with `limit :most` is planned anew, for what is bound might change the plan: of a
    # claim's 200 us that took 150.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    wanted = {**_PRAGMAS, **(_OF_MEMORY if path == ":memory:" else {})}
    for pragma, value in wanted.items():
        if value is None:
            continue
        _set(connection, f"pragma {pragma} = {value}")
        (got,) = connection.execute(f"pragma {pragma}").fetchone() or (None,)
        if got != value:
            raise StoreUnavailable(f"{path}: SQLite refuses {pragma} = {value} and keeps {got}")


def _set(connection: apsw.Connection, pragma: str) -> None:
    """Carry out a pragma; again, if two processes turn a new file to WAL: SQLite fails one, as they would deadlock."""
    give_up = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            connection.execute(pragma).fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.005)


def migrate(connection: apsw.Connection, path: str, steps: Sequence[Migration], now: int) -> None:
    """Bring the schema to the newest step, all in one transaction; refuse what a newer duly has contracted."""
    with translated(path, connection):
        before = applied(connection)
        refuse_newer(before, steps, path)
        done = {number for number, *_ in before}
        todo = [step for step in steps if step.number not in done]
        if not todo:
            return
        connection.execute("begin immediate")
        try:
            done = {number for number, *_ in applied(connection)}
            for step in (step for step in todo if step.number not in done):
                connection.execute(step.sql)
                connection.execute(
                    "insert into migration (number, kind, name, applied_at) values (?, ?, ?, ?)",
                    (step.number, step.kind, step.name, now),
                )
            connection.execute(f"pragma application_id = {APPLICATION_ID}")
            connection.execute("commit")
        except BaseException:
            with suppress(apsw.Error):
                connection.execute("rollback")
            raise


def applied(connection: apsw.Connection) -> list[tuple[int, str, str, int]]:
    """Return the steps of the schema that were taken: number, kind, name and moment."""
    if not connection.execute("select 1 from sqlite_schema where name = 'migration'").fetchone():
        return []
    rows = connection.execute("select number, kind, name, applied_at from migration order by number").fetchall()
    return [(int(number or 0), str(kind), str(name), int(at or 0)) for number, kind, name, at in rows]
