"""Waiting for others, and whether they are there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """Return what the condition is when it is true at last; fail if that takes too long."""
    until, pause = time.monotonic() + seconds, threading.Event()
    while True:
        if value := condition():
            return value
        assert time.monotonic() < until, f"still not true after {seconds:g} s"
        pause.wait(0.005)


def alive(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
