"""What does not end by itself, and its limits in seconds."""

from __future__ import annotations

import os
import signal
import struct

TIMEOUT = 0.06
GRACE = 0.04


def heed_nothing() -> None:
    """Ignore every signal that can be ignored, but for the ends of children."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)


def leave_behind() -> int:
    """Start a process as daemons do, in a session of its own and its parent gone; it never ends. Return its pid."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                os.write(write, struct.pack("q", os.getpid()))
                while True:
                    signal.pause()
        finally:
            os._exit(0)
    os.close(write)  # or the read would wait for ever if there were nobody to answer
    os.waitpid(child, 0)
    (pid,) = struct.unpack("q", os.read(read, 8))
    os.close(read)
    return int(pid)
