"""How a runner hears that its attempt is to stop, and lets the user's code know."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType

from duly.errors import TaskStopped
from duly.runner.linux import STOP_SIGNAL
from duly.wire.runner import Mark


class Stopper:
    """Turns the stop signal into `TaskStopped` in the main thread, once, and only while user code runs.

    The signal says no more than "look at the mark": it names the claim that is meant, so one that comes late hits
    nobody.
    """

    def __init__(self, mark: Mark) -> None:
        self._mark = mark
        self._current: tuple[int, int] | None = None
        self._tell: Callable[[], object] | None = None

    def install(self) -> None:
        """Listen from now on; in the main thread."""
        signal.signal(STOP_SIGNAL, self._on_signal)

    def arm(self, key: int, claim: int) -> None:
        """User code of this claim begins."""
        self._tell = None
        self._current = (key, claim)

    def arm_with(self, tell: Callable[[], object]) -> None:
        """From now on call `tell` instead of raising; for an event loop, which cancels the coroutine."""
        self._tell = tell
        if self._current is not None and self._mark.asked(*self._current):
            self._current = None
            tell()

    def disarm(self) -> None:
        """User code has ended."""
        self._current = None
        self._tell = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._current is None:
            return
        reason = self._mark.asked(*self._current)
        if not reason:
            return
        self._current = None
        if self._tell is None:
            raise TaskStopped(reason)
        self._tell()
