"""What tasks print, passed on to this process's stderr: by line, with the task it came from, and never blocking."""

from __future__ import annotations

import os
import select

ATOMIC = 4096
"""Bytes that a pipe that is ready takes at once (PIPE_BUF)."""

MOST_LINE = 16 * 1024


class Console:
    """Writes whole lines; what a stuck reader has no room for is counted and left out."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        self._lost = 0
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
            self._write(b"".join(prefix + line + b"\n" for line in lines))

    def _write(self, data: bytes) -> None:
        assert self._fd is not None
        told = f"[duly] {self._lost:,} bytes of output were left out\n".encode() if self._lost else b""
        view = memoryview(told + data)
        while view and self._ready():
            try:
                written = os.write(self._fd, view[:ATOMIC])
            except OSError:
                break
            view = view[written:]
        self._lost = len(view) if len(view) <= len(data) else self._lost + len(data)

    def _ready(self) -> bool:
        assert self._fd is not None
        try:
            return bool(select.select([], [self._fd], [], 0)[1])
        except (OSError, ValueError):
            return False
