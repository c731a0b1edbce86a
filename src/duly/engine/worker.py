"""A worker: a node kept alive, in the thread that calls it or in one of its own."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from duly.engine.node import GivenUp, Node

log = logging.getLogger("duly.node")

SAME_SECONDS = 0.5
"""Signals within so long of the first are the same one: some send it to a process, and to its group as well."""

BEGIN_SECONDS = 1.0
"""How long a thread takes at most to begin, once it was started."""


def _nothing() -> None:
    return None


class Worker:
    """Runs nodes one after another until it is stopped; a new one only if the last was given up.

    `hopeless` is told the error for which a worker in a thread of its own stops, until it is closed; `ended` when such
    a one is at its end. `signalled` says whether a signal has stopped it.
    """

    def __init__(
        self,
        make_node: Callable[[], Node],
        hopeless: Callable[[BaseException | None], None],
        ended: Callable[[], None] = _nothing,
    ) -> None:
        self._make_node = make_node
        self._hopeless = hopeless
        self._tell_ended = ended
        self._node = make_node()
        self._stopping = False
        self.signalled = False
        self._signalled_at: float | None = None
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._ended = threading.Event()  # after an interrupted join, Python 3.11 takes a running thread for ended

    def run(self) -> None:
        """Work in this thread until stopped."""
        given_up: GivenUp | None = None
        while True:
            try:
                self._node.run(given_up)
            except GivenUp as error:
                log.error("%s; starting anew", error)
                given_up = error
                self._node.ready.set()
                self._node = self._make_node()
                if self._stopping:
                    self._node.forgo()
                    return
            else:
                return

    def run_until_signalled(self) -> None:
        """Work in this, the main, thread; SIGTERM and SIGINT drain, a second one hurries."""
        with self._signals():
            self.run()

    def run_beside(self, front: Callable[[], None]) -> None:
        """Work in a thread of its own beside what is in front, in this, the main, thread, until signalled."""
        with self._signals():
            self.start()
            try:
                front()
            finally:
                self.close()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        old = {number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        first = self._signalled_at
        if first is None:
            self._signalled_at, self.signalled = now, True  # the next one may come while this is still being heard
            self.stop()
        elif now - first >= SAME_SECONDS:
            self.stop(hurry=True)

    def start(self) -> None:
        """Work in a thread of its own; returns when runners can be handed work, or raises why not."""
        self._thread = threading.Thread(target=self._run_and_keep_error, name="duly-node", daemon=True)
        try:
            self._thread.start()
            self._node.ready.wait()
        except BaseException:  # interrupted: what was begun is ended, for nobody will close it
            self.stop(hurry=True)
            if self._begun.wait(BEGIN_SECONDS):  # else the interrupt was before it
                self._wait()
            raise
        if self._error is not None:
            self._wait()
            raise self._error

    def _run_and_keep_error(self) -> None:
        self._begun.set()
        try:
            self.run()
        except BaseException as error:  # noqa: BLE001 - it is raised in `start` or `close`
            self._error = error
            log.error("the worker stops: %s", error)
            if self._node.ready.is_set():  # else `start` raises it
                self._hopeless(error)
        finally:
            self._ended.set()
            self._node.ready.set()
            self._tell_ended()

    def _wait(self) -> None:
        assert self._thread is not None
        self._ended.wait()
        self._thread.join()

    def stop(self, *, hurry: bool = False) -> None:
        """Drain; in a hurry what runs is asked to stop at once."""
        self._stopping = True
        self._node.drain(0.0 if hurry else None)

    def close(self) -> None:
        """Drain, and wait until all is told; raises what the worker stopped for, if that was an error."""
        self.stop()
        if self._thread is not None:
            try:
                self._wait()
            except BaseException:
                self.stop(hurry=True)
                self._wait()
                raise
        if self._error is not None:
            self._hopeless(None)
            raise self._error
