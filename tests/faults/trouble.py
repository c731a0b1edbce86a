"""Trouble with a disk: of the system calls that SQLite makes, one fails, or all do from one on.

They are put under SQLite's own functions, so that its own C code has to deal with an errno, as in earnest. A sync alone
cannot be reached so, and fails above them.
"""

from __future__ import annotations

import ctypes
import errno
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import apsw

_int, _size, _off, _pointer = ctypes.c_int, ctypes.c_size_t, ctypes.c_int64, ctypes.c_void_p
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "pwrite64": (ctypes.c_ssize_t, _int, _pointer, _size, _off),
    "pread64": (ctypes.c_ssize_t, _int, _pointer, _size, _off),
    "ftruncate": (_int, _int, _off),
    "open": (_int, ctypes.c_char_p, _int, _int),
    "mmap": (_pointer, _pointer, _size, _int, _int, _int, _off),
    "unlink": (_int, ctypes.c_char_p),
}
_FAILED_MMAP = ctypes.c_void_p(-1).value
SHORT = -1
"""Instead of an errno: half of it is written, and there is no room for the rest."""


class Fault(NamedTuple):
    """Which call fails, how, and whether all those after it do, too."""

    call: str
    error: int
    lasting: bool = False

    @property
    def no_room(self) -> bool:
        """Whether there is no room, rather than a disk that is broken."""
        return self.error in (SHORT, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

    def __str__(self) -> str:
        how = "short" if self.error == SHORT else errno.errorcode[self.error]
        return f"{self.call} {how}{' from there on' if self.lasting else ''}"


FAULTS = (
    *(Fault("pwrite64", error, lasting) for error in (errno.EIO, errno.ENOSPC, SHORT) for lasting in (False, True)),
    *(Fault("pwrite64", error, lasting=True) for error in (errno.EDQUOT, errno.EFBIG)),
    *(Fault("sync", errno.EIO, lasting) for lasting in (False, True)),
    *(Fault("open", error) for error in (errno.EIO, errno.ENOSPC, errno.EMFILE)),
    *(Fault(call, errno.EIO) for call in ("pread64", "ftruncate", "unlink")),
    Fault("mmap", errno.ENOMEM),
)


class Trouble(apsw.VFS):
    """While it is entered, stands between SQLite and the system; harmless but for `fault`."""

    def __init__(self) -> None:
        super().__init__(f"trouble-{id(self)}", "unix", makedefault=True)
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._left = 0
        self._counts: Counter[str] | None = None
        self.came = False
        """Whether the fault has happened."""
        self._kept: list[Any] = []
        self._real: dict[str, Any] = {}

    def __enter__(self) -> Self:
        for name, signature in _SIGNATURES.items():
            kind = ctypes.CFUNCTYPE(*signature, use_errno=True)
            self._real[name] = kind(self.xGetSystemCall(name))
            instead = kind(self._instead(name, self._real[name]))
            self._kept.append(instead)
            self.xSetSystemCall(name, ctypes.cast(instead, _pointer).value)
        return self

    def __exit__(self, *_: object) -> None:
        for name in _SIGNATURES:
            self.xSetSystemCall(name, 0)
        self.unregister()

    @contextmanager
    def fault(self, fault: Fault, at: int) -> Iterator[None]:
        """Have the call fail when it is made for this time, counted from 0."""
        self._fault, self._left, self.came = fault, at, False
        try:
            yield
        finally:
            self._fault = None

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Count calls, by their names."""
        self._counts = counts = Counter()
        try:
            yield counts
        finally:
            self._counts = None

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802
        return _File(self, name, flags)

    def excepthook(self, *_: object) -> None:
        """SQLite ignores this fault; so do we."""

    def fails(self, call: str) -> int:
        """Return the errno that this call is to fail with, 0 if it is not."""
        with self._lock:
            if self._counts is not None:
                self._counts[call] += 1
            fault = self._fault
            if fault is None or fault.call != call:
                return 0
            self._left -= 1
            if self._left >= 0:
                return 0
            if self._left < -1 and not fault.lasting:
                return errno.ENOSPC if self._left == -2 and fault.error == SHORT else 0
            self.came = True
            return errno.ENOSPC if self._left < -1 and fault.error == SHORT else fault.error

    def _instead(self, name: str, real: Any) -> Callable[..., Any]:
        failed = _FAILED_MMAP if name == "mmap" else -1

        def call(*arguments: Any) -> Any:
            error = self.fails(name)
            if error == SHORT and arguments[2] > 1:
                return real(arguments[0], arguments[1], arguments[2] // 2, arguments[3])
            if error:
                ctypes.set_errno(errno.ENOSPC if error == SHORT else error)
                return failed
            return real(*arguments)

        return call


class _File(apsw.VFSFile):
    def __init__(self, trouble: Trouble, name: Any, flags: list[int]) -> None:
        super().__init__("unix", name, flags)
        self._trouble = trouble

    def xSync(self, flags: int) -> None:  # noqa: N802
        if self._trouble.fails("sync"):
            raise apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
        super().xSync(flags)

    def excepthook(self, *_: object) -> None:
        """SQLite ignores this fault; so do we."""
