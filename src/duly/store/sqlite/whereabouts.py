"""Whether the files of a store are still where they were opened.

A file that was deleted or replaced can be written on and on, and nothing of that is found by anybody else. So it is
looked at about once a second, at whatever the store is asked next; a node asks each second whether others live.
"""

from __future__ import annotations

import os
import time

from duly.errors import StoreUnavailable

SECONDS = 1.0
"""Between two looks."""


class Whereabouts:
    """The files of one store as they were when this was made, the log and the side file among them."""

    def __init__(self, path: str, *suffixes: str) -> None:
        self._path = path
        self._files = {os.path.realpath(path) + suffix: suffix for suffix in ("", *suffixes)}
        self._found = {file: _identity(file) for file in self._files}
        self._next = time.monotonic() + SECONDS

    def check(self) -> None:
        """Look, if it is time to; raises `StoreUnavailable` if a file is another one, or none."""
        if time.monotonic() >= self._next:
            self.look()

    def look(self) -> None:
        """Look now; raises the same."""
        for file, found in self._found.items():
            now = _identity(file)
            if now != found:
                self._next = 0.0  # from now on always
                raise StoreUnavailable(
                    f"{self._path}{self._files[file]}: was {'replaced' if now else 'deleted or moved'} while it was in "
                    "use, and what is written is lost; put the store back, then start this program again"
                )
        self._next = time.monotonic() + SECONDS

    def forget(self, suffix: str) -> None:
        """Look for this file no more."""
        self._found = {file: found for file, found in self._found.items() if self._files[file] != suffix}


def _identity(file: str) -> tuple[int, int] | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_dev, status.st_ino
