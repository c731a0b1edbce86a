"""Nothing that the benchmark starts outlives it, however it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def adopt() -> None:
    """Let what is left behind by processes below this one become its own children, so that `sweep` finds it."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def _adopts() -> bool:
    answer = ctypes.c_int()
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(answer))
    return bool(answer.value)


def sweep() -> int:
    """Kill and reap all children, and in turn those that become ours then; return how many.

    Does nothing in a process that has not called `adopt`: there it could hit what is none of the benchmark's.
    """
    count = 0
    while _adopts() and (children := psutil.Process().children()):
        for child in children:
            with suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)
        count += len(children)
    return count


@contextmanager
def forked(be: Callable[[], object]) -> Iterator[int]:
    """Have a process do something meanwhile; it is killed at the end, and if this process is. Yields its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
            be()
        except Exception:  # noqa: BLE001 - there is nobody above to tell
            traceback.print_exc()
        finally:
            os._exit(0)
    try:
        yield pid
    finally:
        with suppress(ChildProcessError):  # reaped already, so that its pid may be another's
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
