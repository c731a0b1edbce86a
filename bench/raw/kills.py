"""Killing by hand: sleep until the moment, kill, reap."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import time

from bench.inside.stubborn import heed_nothing, leave_behind
from bench.strays import adopt, forked
from bench.trial import Failed

RUN_SECONDS = 0.02
"""How long a child runs until it is killed; that does not matter here."""

NO_MORE = -1.0
PATIENCE = 10.0
_LAG = struct.Struct("d")
_PID = struct.Struct("q")


def lags(seconds: float) -> list[float]:
    """How long each end took, in seconds, of all that fit into this time."""
    ours, theirs = socket.socketpair()
    with ours, theirs, forked(lambda: _kill(theirs, seconds)):
        return list(iter(lambda: _next(ours, _LAG), NO_MORE))


def _kill(tell: socket.socket, seconds: float) -> None:
    """Kill one after another, in a process that inherits what they leave behind, so that the benchmark does not."""
    adopt()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        tell.send(_LAG.pack(_kill_one()))
    tell.send(_LAG.pack(NO_MORE))


def _kill_one() -> float:
    ours, theirs = socket.socketpair()
    with ours, theirs, forked(lambda: _victim(theirs)) as child:
        left = int(_next(ours, _PID))
        due = time.monotonic() + RUN_SECONDS
        time.sleep(RUN_SECONDS)
        for pid in (child, left):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        return time.monotonic() - due


def _victim(tell: socket.socket) -> None:
    heed_nothing()
    tell.send(_PID.pack(leave_behind()))
    while True:
        signal.pause()


def _next(end: socket.socket, form: struct.Struct) -> float:
    if not select.select([end], [], [], PATIENCE)[0]:
        raise Failed("what was to be killed by hand does not answer")
    value: float = form.unpack(end.recv(form.size))[0]
    return value
