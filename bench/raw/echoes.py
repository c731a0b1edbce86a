"""Messages to forked children and back, one at a time."""

from __future__ import annotations

import os
import select
import socket
import time

CHILDREN = 2
MESSAGE = b"x" * 300
"""About what one attempt's work takes with a payload of 100 bytes."""

ANSWER = b"x" * 30


def count(seconds: float) -> int:
    """How often two children answer in this time, each sent its next message when it has answered the last."""
    ends = [_child() for _ in range(CHILDREN)]
    epoll = select.epoll()
    by_fd = {end.fileno(): end for end, _ in ends}
    for fd in by_fd:
        epoll.register(fd, select.EPOLLIN)
    answers, until = -CHILDREN, time.perf_counter() + seconds
    for end in by_fd.values():
        end.send(MESSAGE)
    while time.perf_counter() < until:
        for fd, _ in epoll.poll():
            by_fd[fd].recv(65536)
            by_fd[fd].send(MESSAGE)
            answers += 1
    epoll.close()
    for end, pid in ends:
        end.close()
        os.waitpid(pid, 0)
    return answers


def _child() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            while theirs.recv(65536):
                theirs.send(ANSWER)
        finally:
            os._exit(0)
    theirs.close()
    return ours, pid
