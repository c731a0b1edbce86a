"""The shop, and with it tasks that harm whoever runs them, each in its own way."""

from __future__ import annotations

import collections
import ctypes
import itertools
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import duly
from tests.faults.shop import SOON, app

MIB = 1024 * 1024
LIMIT = 0.1
GRACE = 0.1
MOST_BYTES = 24 * MIB
NOBODY = 64_321
"""A user without rights, and without processes but those of fork bombs: a bound on theirs hits nobody else."""

MOST_PROCESSES = 40
MOST_FILES = 1_024
"""As many as is usual: where there may be many more, to open them all is what takes the time."""


def suicide() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def segfault() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def leave() -> None:
    os._exit(0)


def garbage() -> None:
    """Send what is no message by every socket that there is."""
    for fd in map(int, os.listdir("/proc/self/fd")):
        with suppress(OSError):  # of the listing itself, or one that cannot be sent by
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                socket.socket(fileno=fd).send(b"\x93garbage")
    signal.pause()


def spin() -> None:
    """Never come back from C: no signal's handler is run."""
    collections.deque(itertools.repeat(0), maxlen=0)


def bomb() -> None:
    """Fork for ever, and so does each child; as many as there may be."""
    if os.geteuid() == 0:  # whom no bound holds
        resource.setrlimit(resource.RLIMIT_NPROC, (MOST_PROCESSES, MOST_PROCESSES))
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    else:
        most = MOST_PROCESSES + sum(map(_is_own, os.listdir("/proc")))
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)


def _is_own(name: str) -> bool:
    with suppress(OSError):
        return name.isdigit() and os.stat(f"/proc/{name}").st_uid == os.geteuid()
    return False


def leak() -> None:
    """Open files until there can be no more, and let none go."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MOST_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    kept: list[int] = []
    leak.kept = kept  # type: ignore[attr-defined]
    while True:
        kept.append(os.open(os.devnull, os.O_RDONLY))


def deaf() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()


def sleep() -> None:
    """Heed the stop signal, but only what is left of the grace time later."""
    try:
        time.sleep(60)
    except duly.TaskStopped:
        time.sleep(60)


def eat() -> None:
    """Take twice the memory that there is for it, and stay."""
    kept = bytearray(os.urandom(1)) * (2 * MOST_BYTES)
    while kept:
        signal.pause()


def feed() -> None:
    """Have children eat, each less than there is."""
    for _ in range(4):
        if os.fork() == 0:
            _eat_half()
    signal.pause()


def _eat_half() -> None:
    kept = bytearray(os.urandom(1)) * (MOST_BYTES // 2)
    while kept:
        signal.pause()


class End(NamedTuple):
    """What a bad task is to come to."""

    cause: str
    deaths: int


QUARANTINED = End("quarantined", 3)
TIMEOUT = End("timeout", 0)
MEMORY = End("memory", 1)

BAD: dict[str, End] = {}
LONG: dict[str, End] = {}
LARGE: dict[str, End] = {}


def _declare(kind: dict[str, End], function: Callable[[], None], end: End, **options: Any) -> None:
    for isolation in ("process", "fresh"):
        name = f"bad:{function.__name__}_{isolation}"
        app.action(name, isolation=isolation, retry=SOON, **options)(function)  # type: ignore[call-overload]
        kind[name] = end


for crash in (suicide, segfault, leave, garbage):
    _declare(BAD, crash, QUARANTINED, timeout=20)
for endless in (spin, bomb, deaf):
    _declare(BAD, endless, TIMEOUT, timeout=LIMIT, grace=GRACE, max_attempts=1)
_declare(BAD, leak, End("error", 0), max_attempts=2)

for long in (sleep, spin, deaf):
    if long is sleep:
        _declare(LONG, long, TIMEOUT, timeout=LIMIT, grace=GRACE, max_attempts=1)
    else:
        LONG |= {name: end for name, end in BAD.items() if long.__name__ in name}
for large in (eat, feed):
    _declare(LARGE, large, MEMORY, timeout=20, grace=GRACE, memory=MOST_BYTES, max_attempts=1)
