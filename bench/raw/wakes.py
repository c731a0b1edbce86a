"""Waking by hand: a commit here, a datagram, a commit there, a message to a child."""

from __future__ import annotations

import random
import select
import socket
import struct
import time
from contextlib import ExitStack
from pathlib import Path

from bench.raw.store import Rows, connect
from bench.strays import forked
from bench.trial import Failed, Trial

CLAIM = """
update task set state = 3, claim = claim + 1, attempt = attempt + 1, node = 1
where key = (select key from task where state = 2 and suspect = 0 order by lane, band, rank limit 1)
returning key, claim, attempt, id, payload
"""
PATIENCE = 10.0
_MOMENT = struct.Struct("q")


def taken(trial: Trial, seconds: float, least: float, most: float) -> list[int]:
    """Nanoseconds from before the first commit until the child has its message; each a while after the other."""
    rows = Rows(trial)
    bell, ear = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel, work = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told, tell = socket.socketpair()
    with bell, ear, channel, work, told, tell, ExitStack() as stack:
        stack.enter_context(forked(lambda: _child(work, tell)))
        stack.enter_context(forked(lambda: _node(ear, channel, trial.store)))
        connection = connect(trial.store)
        stack.callback(connection.close)
        times: list[int] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(times) < 2:
            at = time.monotonic_ns()
            connection.execute(rows.insert, next(rows))
            bell.send(b"!")
            if not select.select([told], [], [], PATIENCE)[0]:
                raise Failed("the raw node does not answer")
            times.append(_MOMENT.unpack(told.recv(_MOMENT.size))[0] - at)
            time.sleep(random.uniform(least, most))
    return times[1:]  # the first one has also waited for the node to begin


def _node(ear: socket.socket, channel: socket.socket, store: Path) -> None:
    """Claim with each datagram, and pass it on."""
    connection = connect(store)
    while ear.recv(16):
        claimed = connection.execute(CLAIM).fetchall()
        channel.send(repr(claimed).encode())


def _child(work: socket.socket, tell: socket.socket) -> None:
    """Tell the moment of each message."""
    while work.recv(65536):
        tell.send(_MOMENT.pack(time.monotonic_ns()))
