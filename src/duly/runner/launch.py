"""The process of a zygote: how it is started, and how it is seen to its end."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

BOOT = """\
import os, sys
fd = int(sys.argv.pop())
path = os.read(fd, 1 << 18)
if not path:
    sys.exit()
sys.path[:] = path.decode("utf-8", "surrogateescape").split("\\0")
there = sys.modules.setdefault("typing_extensions")
from duly.runner.zygote import main
if not there:
    del sys.modules["typing_extensions"]
main(fd)
"""
"""What a zygote's interpreter runs: it takes over its caller's sys.path, and then everything can be found.
Nothing to read means that its caller is gone.

msgspec prefers typing_extensions to typing, and does without where it cannot be imported: the same from Python 3.11 on,
and a quarter of the time until the user's code runs.
"""

SUPERVISORS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
"""What a service manager says to the process that it has started."""

END_SECONDS = 2.0
"""How long a zygote may take to kill and reap all that it started."""


def zygote(
    control: int, environment: Mapping[str, str], cwd: str | None, stdout: int | None, stderr: int | None
) -> subprocess.Popen[bytes]:
    """Start a zygote at the other end of its control channel; raises `OSError`."""
    return subprocess.Popen(
        [sys.executable, "-c", BOOT, str(control)],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        pass_fds=[control],
        env=environment,
        cwd=cwd,
        start_new_session=True,
    )


def first_word() -> bytes:
    """What `BOOT` waits for: where modules are found."""
    return "\0".join(_absolute(sys.path)).encode("utf-8", "surrogateescape")


def _absolute(path: Iterable[object]) -> Iterator[str]:
    """Yield the places of `sys.path` that another process can look into, wherever it works."""
    for place in path:
        if isinstance(place, str):
            with suppress(FileNotFoundError):  # of a working directory that is gone
                yield os.path.abspath(place)


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment without what is duly's own (it may hold a store's url) or meant for its supervisor alone."""
    return {
        name: value for name, value in environment.items() if not name.startswith("DULY_") and name not in SUPERVISORS
    }


def ended_well(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a zygote has ended by itself; one that something keeps from it (a SIGSTOP) is killed."""
    poll = select.poll()
    with suppress(ProcessLookupError):  # somebody else in this process has reaped it
        pidfd = os.pidfd_open(process.pid)
        try:
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(END_SECONDS * 1000):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    return process.wait() == 0
