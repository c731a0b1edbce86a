"""Waking by hand: a commit here, a datagram, a commit there, a message to a child."""

from __future__ import annotations

import os
import random
import select
import socket
import struct
import time
from pathlib import Path
from typing import NoReturn

from bench.raw.store import Rows, connect
from bench.trial import Failed, Trial

CLAIM = """
update task set state = 3, claim = claim + 1, attempt = attempt + 1, node = 1
where key = (select key from task where state = 2 and suspect = 0 order by lane, band, rank limit 1)
returning key, claim, attempt, id, payload
"""
_MOMENT = struct.Struct("q")


def taken(trial: Trial, seconds: float, least: float, most: float) -> list[int]:
    """Nanoseconds from before the first commit until the child has its message; each a while after the other."""
    rows = Rows(trial)
    bell, ear = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    read, write = os.pipe()
    node = os.fork()
    if node == 0:
        _be_node(ear, write, trial.store)
    connection = connect(trial.store)
    times: list[int] = []
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until or not times:
            at = time.monotonic_ns()
            connection.execute(rows.insert, next(rows))
            bell.send(b"!")
            if not select.select([read], [], [], 10)[0]:
                raise Failed("the raw node does not answer")
            times.append(_MOMENT.unpack(os.read(read, _MOMENT.size))[0] - at)
            time.sleep(random.uniform(least, most))
    finally:
        bell.send(b"")
        os.waitpid(node, 0)
        connection.close()
        bell.close()
        ear.close()
        os.close(read)
        os.close(write)
    return times


def _be_node(ear: socket.socket, write: int, store: Path) -> NoReturn:
    """Claim and pass on with each datagram, until an empty one."""
    try:
        channel, child = _child(write)
        connection = connect(store)
        while ear.recv(16):
            claimed = connection.execute(CLAIM).fetchall()
            channel.send(repr(claimed).encode())
        connection.close()
        channel.close()
        os.waitpid(child, 0)
    finally:
        os._exit(0)


def _child(write: int) -> tuple[socket.socket, int]:
    """A process that writes the moment of each message."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            while theirs.recv(65536):
                os.write(write, _MOMENT.pack(time.monotonic_ns()))
        finally:
            os._exit(0)
    theirs.close()
    return ours, pid
