"""The first process of a container: the system gives it the orphans of all others, and spares it most signals.

A worker in that place would be left with zombies of what its tasks had started, or would have to reap children that are
not its own, among them those whose end somebody else waits for. So it has a process of its own, and the first one does
nothing but what an init does: it reaps, passes signals on, and ends as the worker has ended.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

PASSED_ON = frozenset({
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH,
})  # fmt: skip


def give_way(leave: Callable[[int, FrameType | None], object]) -> None:
    """Go on in another process if this is the first one; to be called before there are threads.

    From now on SIGTERM calls `leave` in whichever goes on.
    """
    if os.getpid() != 1:
        signal.signal(signal.SIGTERM, leave)
        return
    heard = PASSED_ON | {signal.SIGCHLD}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    for number in heard:
        signal.signal(number, _unheard)  # an init is not even sent what it has no handler for
    child = os.fork()
    if child:
        _be_init(child, heard)
    for number in heard:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, leave)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _be_init(child: int, heard: frozenset[signal.Signals]) -> NoReturn:
    while True:
        came = signal.sigwaitinfo(heard)
        if came.si_signo == signal.SIGCHLD:
            _reap(child)
        elif came.si_code <= 0:  # else the kernel has sent it, by a terminal, and to the worker as well
            os.kill(child, came.si_signo)


def _reap(child: int) -> None:
    """Reap all that have ended, and end if the worker is among them."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)
        if pid == 0:
            return


def _unheard(_number: int, _frame: FrameType | None) -> None:
    return None
