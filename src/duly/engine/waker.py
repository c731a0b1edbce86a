"""Waking a loop that waits on descriptors, from any thread or signal handler."""

from __future__ import annotations

import os
from contextlib import suppress


class Waker:
    """A descriptor that becomes readable when somebody calls `wake`."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def wake(self) -> None:
        """Make it readable; after `close` this does nothing."""
        with suppress(OSError, ValueError):
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        """Make it wait again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._fd)

    def close(self) -> None:
        """Let go of it."""
        fd, self._fd = self._fd, -1
        os.close(fd)
