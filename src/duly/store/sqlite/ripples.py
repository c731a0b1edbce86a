"""Ripples: after a commit the writer touches the side file, and whoever watches that file feels it.

To read a byte is touch enough for inotify, and leaves nothing to be written to the disk. It costs the writer 1 µs, and
nobody has to be registered: the kernel knows who watches. Somebody else who reads the file makes a false ripple, which
costs a look.
"""

from __future__ import annotations

import os
from contextlib import suppress

_IN_ACCESS = 0x1
_MANY = 4096


class FileRipples:
    """Feels when a file is read. Raises `OSError` where the system has no inotify, or none left."""

    def __init__(self, path: str) -> None:
        import ctypes  # noqa: PLC0415 - 2 ms that who waits for nobody need not spend

        libc = ctypes.CDLL(None, use_errno=True)
        if not hasattr(libc, "inotify_init1"):
            raise OSError("no inotify")
        self._fd = _made(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), ctypes.get_errno())
        try:
            _made(libc.inotify_add_watch(self._fd, os.fsencode(path), _IN_ACCESS), ctypes.get_errno())
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def silence(self) -> None:
        """Take in all ripples up to now: the kernel keeps one for any number of them."""
        with suppress(BlockingIOError):
            os.read(self._fd, _MANY)

    def close(self) -> None:
        """Feel no more."""
        os.close(self._fd)


def _made(answer: int, number: int) -> int:
    if answer < 0:
        raise OSError(number, os.strerror(number))
    return answer
