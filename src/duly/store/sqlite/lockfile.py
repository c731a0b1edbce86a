"""The side file `<database>-duly`: who lives, and whose turn it is to write.

Each node holds the record lock (fcntl) of one byte for as long as its process lives; whoever finds it free knows that
the node is dead, without pids and without time. Byte 0 is the gate: writers of different processes pass it one at a
time, in the order of the kernel's queue, where SQLite's own busy handler would let the unlucky starve. The file is
touched after each commit that others may wait for; see `ripples`. It grows by a byte when a node has come or gone: so
whoever rings nodes need not read who they are each time.

Record locks belong to a process, not to a descriptor: the holder itself sees its own as free, and closing any
descriptor of the file drops them all. So a process has one `LockFile` per file, the only module-level state of duly,
made anew after a fork. And as a blocked lock cannot be interrupted, a helper thread waits for the gate; one that
comes too late is given back. Until then this process enters by the helper alone, as it would share what is given back.
Nor does it close the file: the kernel drops all its locks on it, also those of another descriptor, if one is closed
while a lock is waited for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import queue
import struct
import threading
from contextlib import suppress

from duly.errors import StoreUnavailable

GATE = 0
NODES = 1_000
"""Byte of node number 0."""

_FLOCK = struct.Struct("hhqqi4x")

_open: dict[str, LockFile] = {}
_lock = threading.Lock()


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - a helper of the parent may have had it
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


class LockFile:
    """This process's hold on one side file; got by `hold`, shared, and let go of by `release`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.pid = os.getpid()
        self.users = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if not self.changes():
            self.changed()  # something to touch
        self._own: set[int] = set()
        self.turn = threading.Lock()
        self._entered = False  # or about to
        self._wanted: queue.SimpleQueue[_Waiter | None] = queue.SimpleQueue()
        self._helper: threading.Thread | None = None
        self._last: _Waiter | None = None

    def is_there(self) -> bool:
        """Whether others find it by its path: a store may have been deleted, and made anew."""
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def touch(self) -> None:
        """Have it felt by who watches the file; who does not feel it looks when its time has come."""
        with suppress(OSError):
            os.pread(self._fd, 1, 0)

    # nodes
    def live(self, node: int) -> bool:
        """Take a node's byte; False if it is held already. Raises `StoreUnavailable` where nothing can be locked."""
        if node in self._own:
            return False
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, NODES + node)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise StoreUnavailable(
                f"{self.path}: cannot be locked: {error.strerror}; a store wants a disk of this machine"
            ) from error
        self._own.add(node)
        return True

    def die(self, node: int) -> None:
        """Give a node's byte back."""
        self._own.discard(node)
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, NODES + node)

    def lives(self, node: int) -> bool:
        """Whether anybody holds a node's byte."""
        if node in self._own:
            return True
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, NODES + node, 1, 0)
        answer = fcntl.fcntl(self._fd, fcntl.F_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def changes(self) -> int:
        """Return a number that grows after a node has come or gone."""
        return os.fstat(self._fd).st_size

    def changed(self) -> None:
        """A node has come or gone: to be called after its commit, and before it looks for tasks."""
        with suppress(OSError):  # the disk is full: who does not ring it is waited for by its poll
            os.write(self._fd, b"\n")

    # the gate
    def enter(self, seconds: float) -> bool:
        """Wait for the gate, but not for ever; False if it is still another's.

        To be called within `turn`; `leave` follows whatever came of it, and does no harm if nothing was entered. Both
        of these are such that no interrupt can come between taking one and knowing it.
        """
        self._entered = True
        if self.is_idle():
            with suppress(OSError):
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, GATE)
                return True
        return self._ask_helper().wait(seconds)

    def leave(self) -> None:
        """Let the next one in; to be called again does no harm."""
        if self._entered:
            if self._last is not None:
                self._last.give_up()
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, GATE)
            self._entered = False

    def is_idle(self) -> bool:
        """Whether the helper waits for no gate, nor is about to give one back."""
        return self._last is None or self._last.over

    def _ask_helper(self) -> _Waiter:
        if self._helper is None:
            self._helper = threading.Thread(target=self._help, name="duly-gate", daemon=True)
        if self._helper.ident is None:
            self._helper.start()
        waiter = self._last = _Waiter()  # known before it is begun: an interrupt may come between
        self._wanted.put(waiter)
        return waiter

    def _help(self) -> None:
        while True:
            waiter = self._wanted.get()
            if waiter is not None:
                self._wait_for_gate(waiter)
            elif self._close_if_unused():
                return

    def _wait_for_gate(self, waiter: _Waiter) -> None:
        with suppress(OSError):
            if waiter.is_wanted():
                fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, GATE)
                if not waiter.give():
                    fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, GATE)
        waiter.over = True

    # the end
    def let_go(self) -> None:
        """Drop every lock of this process on the file, and close it as soon as the helper is idle; within `_lock`."""
        self._own.clear()
        if self.is_idle():
            self._close()
        else:
            fcntl.lockf(self._fd, fcntl.LOCK_UN)
        self._wanted.put(None)

    def _close_if_unused(self) -> bool:
        with _lock:
            if not self.users:
                self._close()
            return not self.users

    def _close(self) -> None:
        if _open.get(self.path) is self:
            del _open[self.path]
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class Alone:
    """The same for a store that no other process can see: its nodes live until they are said to die."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self._own: set[int] = set()
        self._changes = 0

    def touch(self) -> None:
        """Nobody watches."""

    def live(self, node: int) -> bool:
        """Note that a node lives."""
        self._own.add(node)
        return True

    def die(self, node: int) -> None:
        """Note that it does no more."""
        self._own.discard(node)

    def lives(self, node: int) -> bool:
        """Whether a node lives."""
        return node in self._own

    def changes(self) -> int:
        """Return a number that grows after a node has come or gone."""
        return self._changes

    def changed(self) -> None:
        """A node has come or gone."""
        self._changes += 1

    def enter(self, _seconds: float) -> bool:
        """Nobody else wants to write."""
        return True

    def leave(self) -> None:
        """Nobody waits."""


class _Waiter:
    """One wait for the gate: either its taker has it in the end, or nobody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._came = threading.Event()
        self._gone = False
        self.over = False
        """Whether the helper will touch the gate no more for it."""

    def wait(self, seconds: float) -> bool:
        try:
            self._came.wait(seconds)
        finally:
            self.give_up()
        return not self._gone

    def give_up(self) -> None:
        with self._lock:
            self._gone = not self._came.is_set()

    def is_wanted(self) -> bool:
        return not self._gone

    def give(self) -> bool:
        with self._lock:
            if not self._gone:
                self.over = True
                self._came.set()
            return not self._gone


def hold(database: str) -> LockFile | Alone:
    """Return this process's lock file of a database; each `hold` is followed by one `release`."""
    if database == ":memory:":
        return Alone()
    path = os.path.realpath(database) + "-duly"
    with _lock:
        found = _open.get(path)
        if found is None or found.pid != os.getpid() or not found.is_there():
            found = _open[path] = LockFile(path)
        found.users += 1
        return found


def release(lockfile: LockFile | Alone) -> None:
    """Let go of a lock file; with the last one to do so goes every lock on it."""
    if isinstance(lockfile, Alone):
        return
    with _lock:
        lockfile.users -= 1
        if lockfile.users == 0 and lockfile.pid == os.getpid():
            lockfile.let_go()
