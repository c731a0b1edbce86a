"""Waking by hand: a commit here, a notification, a commit there, a message to a child."""

from __future__ import annotations

import random
import select
import socket
import struct
import time
from contextlib import ExitStack

from bench.raw.postgres import CLAIM, ServerRows
from bench.server import ServerTrial
from bench.strays import forked
from bench.trial import Failed

PATIENCE = 10.0
_MOMENT = struct.Struct("q")


def taken(trial: ServerTrial, seconds: float, least: float, most: float) -> list[int]:
    """Nanoseconds from before the first commit until the child has its message; each a while after the other."""
    rows = ServerRows(trial)
    channel, work = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told, tell = socket.socketpair()
    with channel, work, told, tell, ExitStack() as stack:
        stack.enter_context(forked(lambda: _child(work, tell)))
        stack.enter_context(forked(lambda: _node(trial, channel)))
        _hear(told)  # that the node listens
        connection = stack.enter_context(trial.connect())
        times: list[int] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(times) < 2:
            at = time.monotonic_ns()
            connection.execute(rows.insert, next(rows), prepare=True)
            connection.execute("notify raw")
            times.append(_hear(told) - at)
            time.sleep(random.uniform(least, most))
    return times[1:]  # the first one has also waited for statements to be prepared


def _hear(told: socket.socket) -> int:
    if not select.select([told], [], [], PATIENCE)[0]:
        raise Failed("the raw node does not answer")
    return int(_MOMENT.unpack(told.recv(_MOMENT.size))[0])


def _node(trial: ServerTrial, channel: socket.socket) -> None:
    """Claim with each notification, and pass it on."""
    with trial.connect() as connection:
        connection.execute("listen raw")
        channel.send(b"listening")
        while list(connection.notifies(stop_after=1)):
            claimed = connection.execute(CLAIM, (1,), prepare=True).fetchall()
            channel.send(repr(claimed).encode())


def _child(work: socket.socket, tell: socket.socket) -> None:
    """Tell the moment of each message."""
    while work.recv(65536):
        tell.send(_MOMENT.pack(time.monotonic_ns()))
