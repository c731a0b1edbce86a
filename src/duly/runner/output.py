"""What tasks print: one pipe per runner, with boundaries between tasks where there is anything to divide.

A runner writes a boundary after a task that printed: it knows from its own streams, and from bytes that still lie in
the pipe. Where C code or a subprocess printed and it was read at once, the reader knows which task ran.
"""

from __future__ import annotations

import fcntl
import io
import os
import select
import struct
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

PIECE = 64 * 1024
"""Bytes that are read from a pipe at once."""

MOST_UNCLEAR = 4 * 1024
"""Bytes that wait for their boundary; more are no brief task's."""

_BOUNDARY = struct.Struct("<16sqq")
SECRET_BYTES = 16


def new_secret() -> bytes:
    """Return what marks a boundary in one runner's pipe.

    Its first byte is never the last of a line or of any text: a reader keeps back what may be its beginning.
    """
    return b"\xff" + os.urandom(SECRET_BYTES - 1)  # 0xff is no part of UTF-8


class _Watched(io.FileIO):
    """A descriptor that remembers whether anything was written through it, or has each line written for its task."""

    written = False
    put: Callable[[bytes], None] | None = None

    def write(self, data: object) -> int | None:  # type: ignore[override]
        if self.put is not None:
            line = bytes(data)  # type: ignore[call-overload]
            self.put(line)
            return len(line)
        self.written = True
        return super().write(data)  # type: ignore[arg-type]


class Streams:
    """stdout and stderr by line, remembering whether anything was written.

    Made before the user's modules are imported: handlers of `logging` and the like keep the streams that they find.
    What those modules print meanwhile waits for no reader; what there is no room for is left out.
    """

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        for fd, name in ((1, "stdout"), (2, "stderr")):
            raw = _Watched(fd, "wb", closefd=False)
            raw.put = partial(_write_if_ready, fd)
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
            self._watched.append(raw)

    def divert(self, put: Callable[[bytes], None] | None) -> None:
        """From now on have lines written by another, or by themselves."""
        flush()
        for raw in self._watched:
            raw.put = put

    def take_written(self) -> bool:
        """Whether anything was written since this was asked last."""
        flush()
        printed = False
        for raw in self._watched:
            printed = printed or raw.written
            raw.written = False
        return printed


class Writer:
    """The runner's side: a boundary after each task that printed."""

    def __init__(self, secret: bytes, streams: Streams) -> None:
        self._secret = secret
        self._streams = streams
        streams.divert(None)
        self._pipe = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3)  # the user may close or redirect 1

    def end_task(self, key: int, claim: int, *, briefly: bool) -> None:
        """The task is over: whatever is printed from now on is another's.

        After one that ran so briefly that it cannot have started a process, nobody looks for bytes in the pipe.
        """
        if self._streams.take_written() or (not briefly and self._unread()):
            os.write(self._pipe, _BOUNDARY.pack(self._secret, key, claim))

    def attribute(self, owner: Callable[[], tuple[int, int] | None]) -> None:
        """From now on each line goes out with whose it is, for many tasks print: `owner` returns (key, claim).

        A line is whose it is that ends it. What C code prints goes out as it is, and belongs to none.
        """

        def put(line: bytes) -> None:
            key, claim = owner() or (0, 0)
            rest = memoryview(line + _BOUNDARY.pack(self._secret, key, claim))
            while rest:
                rest = rest[os.write(self._pipe, rest) :]

        self._streams.divert(put)

    def _unread(self) -> bool:
        return fcntl.ioctl(self._pipe, termios.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"


def _write_if_ready(fd: int, line: bytes) -> None:
    view = memoryview(line)
    with suppress(OSError):
        while view and select.select([], [fd], [], 0)[1]:
            view = view[os.write(fd, view[: select.PIPE_BUF]) :]


def flush() -> None:
    """Write out what the standard streams hold; a stream that the user closed or replaced is left alone."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001, S112 - it may be an object of the user's; `suppress` takes thrice the time
            continue


class Piece(NamedTuple):
    """Some output, of which task (key, claim) it is, and whether that is the last it prints."""

    data: bytes
    task: tuple[int, int] | None
    last: bool


class Reader:
    """The supervisor's side: reads the pipe, and divides it into pieces that belong to tasks.

    `running` tells which task runs just now. What comes without a boundary is that one's, if it was the one before and
    after the reading; else the boundary is on its way, and tells better.
    """

    def __init__(self, fd: int, secret: bytes, running: Callable[[], tuple[int, int] | None]) -> None:
        self.fd = fd
        self._secret = secret
        self._running = running
        self._rest = b""
        self.at_end = False

    def read(self) -> list[Piece]:
        """Read what there is."""
        before = self._running()
        data = self._read(self._rest)
        if not data:
            return []
        task = self._running()
        if task != before:
            data = self._read(data)  # the boundary that tells whose it is; else what comes by now may be another's
        parts: list[tuple[tuple[int, int], list[bytes]]] = []
        begin = 0
        while (at := data.find(self._secret, begin)) >= 0 and len(data) >= at + _BOUNDARY.size:
            _, key, claim = _BOUNDARY.unpack_from(data, at)
            if not parts or parts[-1][0] != (key, claim):
                parts.append(((key, claim), []))
            parts[-1][1].append(data[begin:at])
            begin = at + _BOUNDARY.size
        keep = len(data) - at if at >= 0 else _overlap(data, self._secret)
        data = data[begin:]
        pieces = [Piece(b"".join(lines), owner, last=True) for owner, lines in parts]
        if task != before and len(data) <= MOST_UNCLEAR and not self.at_end:
            keep = len(data)
        self._rest = data[len(data) - keep :]
        if len(data) > keep:
            pieces.append(Piece(data[: len(data) - keep], task, last=False))
        return pieces

    def _read(self, data: bytes) -> bytes:
        with suppress(BlockingIOError, OSError):
            while len(data) < 4 * PIECE and not self.at_end:
                chunk = os.read(self.fd, PIECE)
                self.at_end = not chunk
                data += chunk
        return data

    def close(self) -> None:
        """Close the pipe's end."""
        os.close(self.fd)


def _overlap(data: bytes, secret: bytes) -> int:
    """How many bytes at the end of `data` may be the beginning of the secret."""
    for size in range(min(len(secret) - 1, len(data)), 0, -1):
        if secret.startswith(data[-size:]):
            return size
    return 0
