"""What Linux offers to hold a process and all it starts: prctl, memfds and /proc."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from typing import Any

PAGE = os.sysconf("SC_PAGE_SIZE")

STOP_SIGNAL = signal.SIGRTMIN + 5
"""Asks a runner's main thread to look at its mark; a real-time signal, so that none of the user's is taken."""

LABEL = "DULY_NODE"
"""The one variable of duly's in a runner's environment: which node it belongs to, so that strays can be told."""

KEPT = 16 * 1024 * 1024
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


@cache
def _libc() -> Any:
    """The C library; looked up once, for in a fork that alone takes 0.2 ms."""
    import ctypes  # noqa: PLC0415 - an App needs none of this; zygotes have it when they fork

    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *4 * [ctypes.c_ulong]]
    return libc


def _prctl(option: int, value: int) -> None:
    if _libc().prctl(option, value, 0, 0, 0) != 0:
        import ctypes  # noqa: PLC0415

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def keep_freed_memory() -> None:
    """Have this process keep up to `KEPT` bytes that it has freed, for the next large value.

    Given back and asked for anew, each of its pages is a page fault: a quarter of what a value of 1 MB takes.
    """
    with suppress(AttributeError):  # other C libraries have nothing of the kind
        for option in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            _libc().mallopt(option, KEPT)


def become_subreaper() -> None:
    """Inherit the orphans of everything this process starts."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Be sent a signal when the thread that started this process ends; 0 takes it back."""
    _prctl(_PR_SET_PDEATHSIG, number)


def fill_standard_files() -> None:
    """Open descriptors 0 to 2 where they are closed, so that nothing else can come to lie there."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def above_standard_files(fd: int) -> int:
    """Move a descriptor away from 0 to 2, if it has come to lie there."""
    if fd > 2:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return int(moved)


def shared_page(size: int) -> int:
    """Return a descriptor of anonymous memory that two processes can map."""
    fd = os.memfd_create("duly", os.MFD_CLOEXEC)
    os.ftruncate(fd, size)
    return fd


def sealed_copy(data: bytes) -> int:
    """Return a descriptor of anonymous memory that holds these bytes for good."""
    fd = os.memfd_create("duly", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(data)
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def all_pids() -> list[int]:
    """Return the ids of all processes of this machine (or container)."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def parent_of(pid: int) -> int | None:
    """Return the parent's id of a process, or None if there is no such process."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except OSError:
        return None
    return int(stat[stat.rindex(b")") + 4 :].split(b" ", 1)[0])


def children_of(pid: int) -> list[int]:
    """Return the ids of the children of a single-threaded process; of those that have ended, too."""
    with suppress(OSError):
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    return [other for other in all_pids() if parent_of(other) == pid]


def carries(pid: int, node: str) -> bool:
    """Whether a process carries this node's label in its environment."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return f"{LABEL}={node}".encode() in file.read().split(b"\0")
    return False


def labelled(node: str) -> Iterator[int]:
    """Yield the ids of all processes that carry this node's label in their environment."""
    return (pid for pid in all_pids() if carries(pid, node))


def kill_labelled(node: str) -> set[int]:
    """Kill all processes but this one that carry a node's label; return which there were."""
    found: set[int] = set()
    for pid in labelled(node):
        with suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if pid != os.getpid() and carries(pid, node):  # by now the id could be another's
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                    found.add(pid)
            finally:
                os.close(pidfd)
    return found


def signal_child(pid: int, parent: int, number: int) -> None:
    """Send a signal to a process if it is a child of this parent's still, and not another with its id."""
    with suppress(ProcessLookupError, PermissionError):
        pidfd = os.pidfd_open(pid)
        try:
            if parent_of(pid) == parent:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def kill_all_below(children: Iterable[int]) -> list[int]:
    """Kill these children of this process, and what is below them as of about now; return all that it found."""
    own = os.getpid()
    found = [(pid, own) for pid in children]
    for pid, _ in found:  # which grows meanwhile
        found += [(child, pid) for child in children_of(pid)]
    for pid, parent in reversed(found):  # while its parent lives it is known by that
        with suppress(ProcessLookupError, PermissionError):
            pidfd = os.pidfd_open(pid)
            try:
                if parent_of(pid) in (parent, own):  # or it is another with its id
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            finally:
                os.close(pidfd)
    return [pid for pid, _ in found]


def own_memory(pid: int) -> int:
    """Return the anonymous memory of one process in bytes; 0 if it is gone."""
    try:
        pages = _read(f"/proc/{pid}/statm").split()
    except OSError:
        return 0
    return (int(pages[1]) - int(pages[2])) * PAGE


def shared_memory(pid: int) -> int:
    """Return a process's proportional share of anonymous memory in bytes; 0 if it is gone."""
    try:
        rollup = _read(f"/proc/{pid}/smaps_rollup")
    except OSError:
        return 0
    rows = dict(line.split(b":", 1) for line in rollup.splitlines() if b": " in line)
    return sum(int(rows[name].split()[0]) * 1024 for name in (b"Pss_Anon", b"SwapPss") if name in rows)


class Family:
    """A process and its descendants, found again and again at little cost.

    A process that is not a descendant never becomes one, so only ids not seen before are looked at.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._members = {pid}
        self._strangers: set[int] = set()

    def members(self) -> set[int]:
        """Return the ids of the process and of all its descendants that are alive."""
        present = set(all_pids())
        self._strangers &= present
        self._members &= present
        self._members.add(self.pid)
        parents = {pid: parent_of(pid) for pid in present - self._strangers - self._members}
        grown = True
        while grown:
            found = {pid for pid, parent in parents.items() if parent in self._members}
            grown = not found <= self._members
            self._members |= found
        self._strangers |= present - self._members
        return self._members

    def memory(self, enough: int) -> int:
        """Return the anonymous memory of all of them together, in bytes.

        Pages that a fork shares are counted for each of its sides, which is cheap; only where that comes to more than
        `enough` are they counted by shares, which costs milliseconds.
        """
        members = self.members()
        size = sum(own_memory(pid) for pid in members)
        return size if len(members) == 1 or size <= enough else sum(shared_memory(pid) for pid in members)
