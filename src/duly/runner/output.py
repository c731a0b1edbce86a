"""What tasks print: one pipe per runner, with boundaries between tasks where there is anything to divide.

A runner writes a boundary after a task that printed: it knows from its own streams, and from bytes that still lie in
the pipe. Where C code or a subprocess printed and it was read at once, the reader knows which task ran.
"""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import termios
from contextlib import suppress

TAIL = 64 * 1024
"""Bytes of an attempt's output that are kept."""

_BOUNDARY = struct.Struct("<16sqq")
SECRET_BYTES = 16


def new_secret() -> bytes:
    """Return what marks a boundary in one runner's pipe.

    Its first byte is never the last of a line or of any text: a reader keeps back what may be its beginning.
    """
    return b"\xff" + os.urandom(SECRET_BYTES - 1)  # 0xff is no part of UTF-8


class _Watched(io.FileIO):
    """A descriptor that remembers whether anything was written through it."""

    written = False

    def write(self, data: object) -> int | None:  # type: ignore[override]
        self.written = True
        return super().write(data)  # type: ignore[arg-type]


class Writer:
    """The runner's side: stdout and stderr by line, and a boundary after each task that printed."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._pipe = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)  # the user may close or redirect 1
        self._watched: list[_Watched] = []
        for fd, name in ((1, "stdout"), (2, "stderr")):
            raw = _Watched(fd, "wb", closefd=False)
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
            self._watched.append(raw)

    def end_task(self, key: int, claim: int, *, briefly: bool) -> None:
        """The task is over: whatever is printed from now on is another's.

        After one that ran so briefly that it cannot have started a process, nobody looks for bytes in the pipe.
        """
        flush()
        printed = False
        for raw in self._watched:
            printed = printed or raw.written
            raw.written = False
        if printed or (not briefly and self._unread()):
            os.write(self._pipe, _BOUNDARY.pack(self._secret, key, claim))

    def _unread(self) -> bool:
        return fcntl.ioctl(self._pipe, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"


def flush() -> None:
    """Write out what the standard streams hold; a stream that the user closed or replaced is left alone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - it may be an object of the user's; `suppress` takes thrice the time
            continue


class Reader:
    """The supervisor's side: reads the pipe, and divides it into pieces that belong to tasks."""

    def __init__(self, fd: int, secret: bytes) -> None:
        self.fd = fd
        self._secret = secret
        self._rest = b""
        self.at_end = False

    def read(self) -> list[tuple[bytes, tuple[int, int] | None]]:
        """Read what there is, in pieces, each with the (key, claim) that it closes, or None if that goes on."""
        data = self._rest
        with suppress(BlockingIOError, OSError):
            while len(data) < 4 * TAIL and not self.at_end:
                chunk = os.read(self.fd, TAIL)
                self.at_end = not chunk
                data += chunk
        pieces: list[tuple[bytes, tuple[int, int] | None]] = []
        while (at := data.find(self._secret)) >= 0 and len(data) >= at + _BOUNDARY.size:
            _, key, claim = _BOUNDARY.unpack_from(data, at)
            pieces.append((data[:at], (key, claim)))
            data = data[at + _BOUNDARY.size :]
        keep = len(data) - at if at >= 0 else _overlap(data, self._secret)
        self._rest = data[len(data) - keep :]
        if len(data) > keep:
            pieces.append((data[: len(data) - keep], None))
        return pieces

    def close(self) -> None:
        """Close the pipe's end."""
        os.close(self.fd)


def _overlap(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of the secret."""
    for size in range(min(len(secret) - 1, len(data)), 0, -1):
        if secret.startswith(data[-size:]):
            return size
    return 0
