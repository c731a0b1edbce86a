"""Messages to forked children and back, one at a time."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bench.strays import forked
from bench.trial import Failed

CHILDREN = 2
MESSAGE = b"x" * 300
"""About what one attempt's work takes with a payload of 100 bytes."""

ANSWER = b"x" * 30
ROOM = 1024
PATIENCE = 10.0


def count(seconds: float) -> int:
    """How often two children answer in this time, each sent its next message when it has answered the last."""
    with ExitStack() as stack:
        ends = [stack.enter_context(_child()) for _ in range(CHILDREN)]
        epoll = stack.enter_context(select.epoll())
        by_fd = {end.fileno(): end for end in ends}
        for fd, end in by_fd.items():
            epoll.register(fd, select.EPOLLIN)
            end.send(MESSAGE)
        answers, until = 0, time.perf_counter() + seconds
        while time.perf_counter() < until:
            ready = epoll.poll(PATIENCE)
            if not ready:
                raise Failed("a child does not answer")
            for fd, _ in ready:
                by_fd[fd].recv(ROOM)
                by_fd[fd].send(MESSAGE)
                answers += 1
        return answers


@contextmanager
def _child() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, forked(lambda: _echo(theirs)):
        yield ours


def _echo(end: socket.socket) -> None:
    while end.recv(ROOM):
        end.send(ANSWER)
