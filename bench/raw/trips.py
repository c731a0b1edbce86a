"""A task's way there and back by hand: commits on both sides, datagrams between them, a message to a child and back."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack
from pathlib import Path

from bench.raw.store import FINISH, TELL, Rows, connect
from bench.raw.wakes import CLAIM
from bench.strays import forked
from bench.trial import Failed, Trial

PATIENCE = 10.0
LOOK = "select state, value from task where id = ?"


def taken(trial: Trial, seconds: float) -> list[int]:
    """Nanoseconds from before each commit of a task until its end has been read; one after another."""
    rows = Rows(trial)
    bell, ear = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    channel, work = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with bell, ear, channel, work, ExitStack() as stack:
        stack.enter_context(forked(lambda: _child(work)))
        stack.enter_context(forked(lambda: _node(ear, channel, trial.store)))
        connection = connect(trial.store)
        stack.callback(connection.close)
        times: list[int] = []
        until = time.monotonic() + seconds
        while time.monotonic() < until or len(times) < 2:
            at, row = time.monotonic_ns(), next(rows)
            connection.execute(rows.insert, row)
            bell.send(b"!")
            if not select.select([bell], [], [], PATIENCE)[0]:
                raise Failed("the raw node does not answer")
            bell.recv(16)
            connection.execute(LOOK, (rows.id_of(row),)).fetchall()
            times.append(time.monotonic_ns() - at)
    return times[1:]  # the first one has also waited for the node to begin


def _node(ear: socket.socket, channel: socket.socket, store: Path) -> None:
    """With each datagram claim a task, have the child do it, note its end and its history, and ring."""
    connection = connect(store)
    while ear.recv(16):
        (claimed,) = connection.execute(CLAIM).fetchall()
        key, claim, attempt, *_ = claimed
        channel.send(repr(claimed).encode())
        channel.recv(65536)
        now = time.time_ns() // 1000
        connection.execute("begin immediate")
        connection.execute(FINISH, (now, now, key, claim))
        connection.execute(TELL, (key, claim, attempt, f'[["start",{now},null],["success",{now},null]]'))
        connection.execute("commit")
        ear.send(b"!")


def _child(work: socket.socket) -> None:
    while work.recv(65536):
        work.send(b"done")
