"""Killing by hand: sleep until the moment, kill, reap."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import NoReturn

from bench.inside.stubborn import heed_nothing, leave_behind

RUN_SECONDS = 0.02
"""How long a child runs until it is killed; that does not matter here."""

_PR_SET_CHILD_SUBREAPER = 36


def lags(seconds: float) -> list[float]:
    """How long each end took, in seconds, of all that fit into this time."""
    read, write = os.pipe()
    killer = os.fork()
    if killer == 0:
        _be_killer(write, seconds)
    os.close(write)
    with open(read, "rb") as pipe:
        found = [float(line) for line in pipe]
    os.waitpid(killer, 0)
    return found


def _be_killer(write: int, seconds: float) -> NoReturn:
    """Be the process that inherits what children leave behind, so that the benchmark itself is not."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            os.write(write, b"%.9f\n" % _kill_one())
    finally:
        os._exit(0)


def _kill_one() -> float:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        heed_nothing()
        os.write(write, b"%d" % leave_behind())
        while True:
            signal.pause()
    left = int(os.read(read, 32))
    os.close(read)
    os.close(write)
    due = time.monotonic() + RUN_SECONDS
    time.sleep(RUN_SECONDS)
    for pid in (child, left):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return time.monotonic() - due
