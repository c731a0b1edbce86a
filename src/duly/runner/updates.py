"""Progress of one attempt on its way out: at most one update each `UPDATE_SECONDS`, and always the last."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from duly.core import jsonvalue
from duly.wire.runner import Said, Work

UPDATE_SECONDS = 0.1
"""The shortest time between two updates that are sent; of those in between only the last is."""

MOST_UPDATE = 64 * 1024


class Later(Protocol):
    """Calls something later, one thing at a time, in whichever thread."""

    def call(self, seconds: float, what: Callable[[], None]) -> None:
        """Call it in so many seconds."""

    def end(self) -> None:
        """Call nothing any more, and leave nothing behind."""


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
        self._waits = False

    def is_time(self) -> bool:
        """Whether an update told now would be sent at once."""
        return time.monotonic() >= self._next

    def tell(self, told: dict[str, Any]) -> None:
        """Send it, now or later; raises `PayloadInvalid`."""
        body = jsonvalue.dump_given(told, MOST_UPDATE).decode()
        self.latest = told
        with self._lock:
            if not self._waits and self.is_time():
                self._send(body)
                return
            self._held = body
            if not self._waits:
                self._waits = True
                self._later.call(max(0.0, self._next - time.monotonic()), self._send_held)

    def end(self) -> None:
        """The attempt is over: send what was kept back, and nothing more."""
        self._later.end()
        with self._lock:
            if self._held is not None:
                self._send(self._held)

    def _send(self, body: str) -> None:
        self._held = None
        self._next = time.monotonic() + UPDATE_SECONDS
        self._say(Said(self._key, self._claim, "update", body))

    def _send_held(self) -> None:
        with self._lock:
            self._waits = False
            if self._held is not None:
                self._send(self._held)


class ByThread:
    """Calls by a thread that is begun when it is first needed, and lasts to the end."""

    def __init__(self) -> None:
        self._due = threading.Condition()
        self._what: tuple[float, Callable[[], None]] | None = None
        self._over = False
        self._thread: threading.Thread | None = None

    def call(self, seconds: float, what: Callable[[], None]) -> None:
        """Call it in so many seconds."""
        with self._due:
            self._what = (time.monotonic() + seconds, what)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="duly-updates", daemon=True)
                self._thread.start()
            else:
                self._due.notify()

    def _run(self) -> None:
        while (what := self._next()) is not None:
            what()

    def _next(self) -> Callable[[], None] | None:
        """Wait for what is to be called next; None at the end."""
        with self._due:
            while not self._over:
                if self._what is not None and time.monotonic() >= self._what[0]:
                    (_, what), self._what = self._what, None
                    return what
                self._due.wait(None if self._what is None else self._what[0] - time.monotonic())
        return None

    def end(self) -> None:
        """Call nothing any more; the thread is gone then."""
        if self._thread is None:
            return
        with self._due:
            self._over = True
            self._due.notify()
        self._thread.join()
