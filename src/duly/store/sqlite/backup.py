"""A copy of a store in one file, made while others write.

One read transaction is held for all of the copying: the copy is the store as of one moment, nobody who writes waits for
it, and it never has to begin anew, as SQLite's own backup does whenever another process has written. (`vacuum into`
would do, too; it takes half as long again, and cannot say how far it is.) Only the log is not begun anew meanwhile.

In the copy no node is one of those that live: where it is used beside the store it was made of, nobody takes their
processes for those that a dead node has left behind.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import apsw

from duly.errors import OptionInvalid, StoreDamaged, StoreError, StoreFull, StoreUnavailable
from duly.ports import Copied
from duly.store.sqlite.connection import NO_ROOM, duly_error, open_connection, translated

PAGES = 1_000
"""Pages of 4 KiB that are copied in one step."""

BESIDE = ("-wal", "-journal")
"""What SQLite replays into the file of that name when it is opened next."""


class Copy:
    """One copy of a store, made in steps, and beside its place until it is whole. To be closed."""

    def __init__(self, store: str, path: str, *, force: bool = False) -> None:
        if path in ("", "-"):
            raise OptionInvalid(f"bad backup {path!r}: it is a file, give its name")
        self.path = os.path.abspath(path)
        self._store = store
        self._force = force
        self._refuse()
        self._part = f"{self.path}.part-{os.urandom(4).hex()}"
        self._lock = threading.Lock()
        self._source: apsw.Connection | None = None
        self._target: apsw.Connection | None = None
        self._backup: apsw.Backup | None = None

    def _refuse(self) -> None:
        if self._store == ":memory:":
            raise OptionInvalid("a store in memory ends with its process: there is nothing to back up")
        if not os.path.exists(self._store):
            raise StoreUnavailable(f"there is no store {self._store}")
        store = os.path.realpath(self._store)
        if os.path.realpath(self.path) in [store + end for end in ("", *BESIDE, "-shm", "-duly")]:
            raise OptionInvalid(f"{self.path}: is the store itself; give the backup another name")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise OptionInvalid(f"{self.path}: is not a regular file; give the backup another name")
        if os.path.exists(self.path) and not self._force:
            raise OptionInvalid(f"{self.path}: is there already; give another name, or force it")
        self._refuse_beside()

    def _refuse_beside(self) -> None:
        """Refuse a name beside which there is a log: its pages would be taken for those of the copy, and ruin it."""
        for end in BESIDE:
            if os.path.lexists(self.path + end):
                raise OptionInvalid(
                    f"{self.path}{end}: is there, so {self.path} is in use, or was when its process was killed; "
                    f"give the backup another name, or remove both if nobody uses them"
                )

    def step(self) -> Copied | None:
        """Copy the next pages, and return how far it is; None when all are."""
        with self._lock:
            return self._step()

    def _step(self) -> Copied | None:
        backup = self._backup or self._begin()
        if backup.done:
            return None
        try:
            backup.step(PAGES)
        except apsw.Error as error:
            raise self._explained(error) from error
        return Copied(backup.page_count - backup.remaining, backup.page_count)

    def _explained(self, error: apsw.Error) -> StoreError:
        """Tell why nothing more could be copied; of what the system said SQLite keeps nothing here, so it is asked."""
        if isinstance(error, apsw.IOError):
            try:
                with open(self._part, "ab", buffering=0) as part:
                    part.write(bytes(4096))
            except OSError as system:
                return _of_system(system, self.path)
        return _of_driver(error, self.path)

    def _begin(self) -> apsw.Backup:
        self._source = open_connection(self._store)
        with translated(self._store):
            self._source.execute("begin")
            self._source.execute("select 1 from sqlite_schema").fetchall()  # from here on it sees this moment
        self._target = self._open_target()
        self._backup = self._target.backup("main", self._source, "main")
        return self._backup

    def _open_target(self) -> apsw.Connection:
        with _told(self.path):
            os.close(os.open(self._part, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600))
        with _told(self.path):
            target = apsw.Connection(self._part, vfs="unix-none")  # nobody else knows of it, and on NFS no lock holds
            target.execute("pragma locking_mode = exclusive").fetchall()
            target.execute("pragma synchronous = off").fetchall()  # it is brought to the disk as a whole, at the end
        return target

    def finish(self) -> None:
        """Check the copy, bring it to the disk and put it in its place; returns when all that is so for good."""
        with self._lock:  # a fork waits for all of it
            while self._step():  # a fork that came before it has let go of all
                pass
            self._finish()

    def _finish(self) -> None:
        assert self._target is not None
        self._let_go()
        with _told(self.path, self._target):
            target = self._target
            target.execute("pragma journal_mode = delete").fetchall()  # so that it is one file wherever it is read
            target.execute("update node set name = hex(randomblob(8)), bell = ''")
            damages = [str(text) for (text,) in target.execute("pragma integrity_check(5)")]
            target.close()
        self._target = None
        if damages != ["ok"]:
            raise StoreDamaged(f"{self._store}: is damaged, and so was the copy: {'; '.join(damages)}; run duly doctor")
        with _told(self.path):
            _bring_to_disk(self._part)
            self._put_in_place()
            _bring_to_disk(os.path.dirname(self.path))

    def _put_in_place(self) -> None:
        """Give it its name; whatever got that name meanwhile is left alone, where the file system knows how."""
        self._refuse_beside()
        if not self._force:
            try:
                os.link(self._part, self.path)
            except FileExistsError:
                raise OptionInvalid(f"{self.path}: is there already; give another name, or force it") from None
            except OSError:  # no hard links here
                self._refuse()
            else:
                os.unlink(self._part)
                return
        os.replace(self._part, self.path)

    def close(self) -> None:
        """Let go of all, and leave nothing unfinished behind; safe to call twice."""
        with self._lock:
            self._let_go()
            if self._target is not None:
                self._target.close()
                self._target = None
        for end in ("", "-journal"):
            with suppress(OSError):
                os.unlink(self._part + end)

    def _let_go(self) -> None:
        backup, self._backup = self._backup, None
        if backup is not None:
            with suppress(apsw.Error):
                backup.close(True)
        if self._source is not None:
            self._source.close()
            self._source = None

    # a fork would leave its child what SQLite keeps in memory of the locks that its parent holds
    def before_fork(self) -> None:
        """Let go of the store; the next step begins anew."""
        self._lock.acquire()
        self._let_go()
        if self._target is not None:
            self._target.close()
            self._target = None

    def after_fork(self) -> None:
        """Go on."""
        self._lock.release()


def _bring_to_disk(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told(path: str, target: apsw.Connection | None = None) -> Iterator[None]:
    """Turn what the system and the driver say of the copy into duly's words."""
    try:
        yield
    except apsw.Error as error:
        raise _of_driver(error, path, target) from error
    except OSError as error:
        raise _of_system(error, path) from error


def _of_system(error: OSError, path: str) -> StoreError:
    if error.errno in NO_ROOM:
        return _full(path)
    return StoreUnavailable(f"{path}: cannot be written: {error.strerror}")


def _of_driver(error: apsw.Error, path: str, target: apsw.Connection | None = None) -> StoreError:
    told = duly_error(error, path, target)
    return _full(path) if isinstance(told, StoreFull) else told


def _full(path: str) -> StoreFull:
    return StoreFull(f"no space left at {path}; make room there, or give the backup another place")
