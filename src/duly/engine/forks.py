"""What a fork of this process must find at rest: no store open, and nobody inside one.

A forked child has the memory of all threads and only one of them: locks that others hold stay locked in it for ever.
And what SQLite remembers of the parent's locks on files it would take for its own. So a fork waits for whoever uses a
store, and every store is closed while the process is copied.
"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from typing import Protocol
from weakref import WeakSet


class Cared(Protocol):
    """Something that a fork has to wait for."""

    def before_fork(self) -> None:
        """Come to rest, if that is possible."""

    def after_fork(self) -> None:
        """Go on, in the parent and in the child; comes once for each rest."""


_all: WeakSet[Cared] = WeakSet()
_lock = threading.Lock()
_resting: list[Cared] = []
_heeded: list[bool] = []


def care_for(cared: Cared) -> None:
    """Have forks wait for this, for as long as it exists."""
    with _lock:
        if not _heeded:  # not before: processes that only fork need not pay for it
            os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after)
            _heeded.append(True)
        _all.add(cared)


def _before() -> None:
    _lock.acquire()
    with ExitStack() as stack:  # all come to rest, whoever fails
        for cared in list(_all):
            _resting.append(cared)  # first: should an interrupt come, it is still told to go on
            stack.callback(cared.before_fork)


def _after() -> None:
    with ExitStack() as stack:
        stack.callback(_lock.release)
        while _resting:
            stack.callback(_resting.pop().after_fork)
