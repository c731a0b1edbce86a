"""Progress of one attempt on its way out: at most one update each `UPDATE_SECONDS`, and always the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from duly.core import jsonvalue
from duly.wire.runner import Said, Work

UPDATE_SECONDS = 0.1
"""The shortest time between two updates that are sent; of those in between only the last is."""

MOST_UPDATE = 64 * 1024

Later: TypeAlias = Callable[[float, Callable[[], None]], Callable[[], None]]
"""Calls something in so many seconds, in whichever thread; what it returns is called when that is not wanted more."""


class Updates:
    """Sends what an attempt tells, and keeps back what comes too soon after the last."""

    def __init__(self, work: Work, say: Callable[[Said], None], later: Later) -> None:
        self.latest: dict[str, Any] = {}
        self._key, self._claim = work.key, work.claim
        self._say = say
        self._later = later
        self._lock = threading.Lock()
        self._next = 0.0
        self._held: str | None = None
        self._forget: Callable[[], None] | None = None

    def is_time(self) -> bool:
        """Whether an update told now would be sent at once."""
        return time.monotonic() >= self._next

    def tell(self, told: dict[str, Any]) -> None:
        """Send it, now or later; raises `PayloadInvalid`."""
        body = jsonvalue.dump_given(told, MOST_UPDATE).decode()
        self.latest = told
        with self._lock:
            if self._forget is None and self.is_time():
                self._send(body)
                return
            self._held = body
            if self._forget is None:
                self._forget = self._later(max(0.0, self._next - time.monotonic()), self._send_held)

    def end(self) -> None:
        """The attempt is over: send what was kept back, and nothing more."""
        forget = self._forget
        if forget is not None:
            forget()
        with self._lock:
            if self._held is not None:
                self._send(self._held)

    def _send(self, body: str) -> None:
        self._held = None
        self._next = time.monotonic() + UPDATE_SECONDS
        self._say(Said(self._key, self._claim, "update", body))

    def _send_held(self) -> None:
        with self._lock:
            self._forget = None
            if self._held is not None:
                self._send(self._held)


def by_timer(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """Call something later in a thread of its own, which is gone once it was forgotten."""
    timer = threading.Timer(seconds, call)
    timer.daemon = True
    timer.name = "duly-updates"
    timer.start()

    def forget() -> None:
        timer.cancel()
        timer.join()

    return forget
