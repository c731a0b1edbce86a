"""What tasks print, and what a worker says, on this process's stderr: by line, and never blocking."""

from __future__ import annotations

import io
import os
import select

ATOMIC = 4096
"""Bytes that a pipe that is ready takes at once (PIPE_BUF)."""

MOST_LINE = 16 * 1024
NEWLINE = ord("\n")


class Console:
    """Writes whole lines; what a stuck reader has no room for is counted and left out."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._lost = 0
        self._cut = False
        self._partial: dict[int, bytes] = {}

    def show(self, source: int, label: str, data: bytes, *, last: bool) -> None:
        """Pass on what a source printed; at `last` its unfinished line, too."""
        if self._fd is None:
            return
        *lines, rest = (self._partial.pop(source, b"") + data).split(b"\n")
        if rest and (last or len(rest) > MOST_LINE):
            lines.append(rest)
        elif rest:
            self._partial[source] = rest
        if lines:
            prefix = f"[{label}] ".encode()
            self.write(b"".join(prefix + line + b"\n" for line in lines))

    def write(self, data: bytes) -> None:
        """Write what there is room for, and remember how much there was none for."""
        if self._fd is None:
            return
        told = f"[duly] {self._lost:,} bytes of output were left out\n".encode() if self._lost else b""
        if told and self._cut:
            told = b"\n" + told
        view = memoryview(told + data)
        while view and self._ready():
            try:
                written = os.write(self._fd, view[:ATOMIC])
            except OSError:
                break
            self._cut = written > 0 and view[written - 1] != NEWLINE
            view = view[written:]
        self._lost = len(view) if len(view) <= len(data) else self._lost + len(data)

    def _ready(self) -> bool:
        assert self._fd is not None
        try:
            return bool(select.select([], [self._fd], [], 0)[1])
        except (OSError, ValueError):
            return False


class Unblocking(io.RawIOBase):
    """A descriptor to write to that waits for no reader, as the raw end of a text stream."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._console = Console(fd)

    def write(self, data: object) -> int:
        """Write what there is room for; the rest is counted, and told when there is room again."""
        view = memoryview(data)  # type: ignore[arg-type]
        self._console.write(bytes(view))
        return view.nbytes

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._fd

    def isatty(self) -> bool:
        """Whether it is a terminal's."""
        return os.isatty(self._fd)
