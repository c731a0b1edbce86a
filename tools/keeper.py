"""Ends the PostgreSQL servers of a folder, and removes it, when whoever started them is done or gone.

It is run as a process of its own, `python keeper.py FOLDER`, which holds the reading end of a pipe.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress

PATIENCE_SECONDS = 15.0


def main(folder: str) -> None:
    """Wait for a word, or for the end of all who could say one; then clean up."""
    os.read(0, 1)
    until, told, pause = time.monotonic() + PATIENCE_SECONDS, set[int](), threading.Event()
    while left := named(folder):
        late = time.monotonic() > until
        for pid in left if late else left - told:
            send(pid, signal.SIGKILL if late else signal.SIGQUIT)
            send(pid, signal.SIGCONT)
        told |= left
        pause.wait(0.01)
    shutil.rmtree(folder, ignore_errors=True)


def named(folder: str) -> set[int]:
    """Return the other processes whose command names something in the folder: servers, and what makes them."""
    return {int(entry) for entry in os.listdir("/proc") if entry.isdigit() and f"{folder}/" in command(entry)}


def command(entry: str) -> str:
    """Return what a process was started with; what a server has started shows other words."""
    try:
        with open(f"/proc/{entry}/cmdline", errors="replace") as line:
            return line.read()
    except OSError:
        return ""


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if it is there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    main(sys.argv[1])
