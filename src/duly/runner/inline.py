"""Handlers in this very process, for a debugger: a pool whose runners are served by one thread, one attempt at a time.

What a node hands over goes the same way as to a runner's process, by a channel and a mark, so that `Child` runs it as
it does there; only that nothing can be terminated or killed, and nothing is cleaned up. A runner's life is one attempt.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from duly import ports
from duly.core.stopping import Rung
from duly.errors import RunnerUnavailable
from duly.runner.channel import Channel
from duly.runner.child import Child, serve
from duly.runner.context import HERE, asker
from duly.runner.handler import Handler
from duly.runner.line import Answers, Line, line_end
from duly.runner.linux import STOP_SIGNAL
from duly.runner.pool import Pool, Runner, check_platform
from duly.wire.runner import Fit, FromRunner, Mark, Setup, Work

Served: TypeAlias = Callable[[Runner, int], None]
"""Told when a runner is at its end, with the exit code that its process would have."""


class Inline:
    """The thread that runs handlers, where it was made: it serves whichever runner was handed something."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.busy: InlineRunner | None = None
        self._runners: dict[int, InlineRunner] = {}
        self._epoll = select.epoll()
        self._stopped = os.eventfd(0, os.EFD_CLOEXEC)
        self._epoll.register(self._stopped, select.EPOLLIN)

    def pool(self, node: str) -> Pool:
        """Make the pool of a node."""
        return InlinePool(node, self)

    def take(self, runner: InlineRunner) -> None:
        """Serve this runner when it is handed something."""
        self._runners[runner.own.fileno()] = runner
        self._epoll.register(runner.own, select.EPOLLIN)

    def serve(self) -> None:
        """Run what is handed over, until stopped."""
        while self._stopped not in (ready := [fd for fd, _ in self._epoll.poll()]):
            runner = self._runners[ready[0]]
            data = runner.received()
            if data is not None:
                self._epoll.unregister(ready[0])
                del self._runners[ready[0]]
                runner.serve(data)

    def stop(self) -> None:
        """Serve nothing more."""
        os.eventfd_write(self._stopped, 1)


class InlineRunner(Runner):
    """A runner that is no process: the node's side of it, and its own, which another thread serves."""

    def __init__(self, number: int, setup: Setup, epoll: select.epoll, inline: Inline, served: Served) -> None:
        super().__init__(number, 2 * setup.most_bytes, epoll, capture=False)
        self._setup = setup
        self._inline = inline
        self._served = served
        self._used = False
        assert self._theirs is not None
        self.answers = Answers(epoll)
        self.own = _Once(self._theirs.dup(), self._most)
        self._line = line_end(os.dup(self.answers.theirs.fileno()))
        self._own_page = mmap.mmap(self._page_fd, Mark.SIZE)

    # the node's side
    def hand(self, work: Work) -> bool:
        """Hand over one attempt; False while one runs, here or elsewhere."""
        if self._used or self._inline.busy is not None:
            return False
        self._used, self._inline.busy = True, self  # before it can have ended
        if not super().hand(work):
            self._used, self._inline.busy = False, None
        return self._used

    def take_back(self) -> list[tuple[int, int]]:
        """Take back what was handed over and not read yet, as (key, claim)."""
        taken = super().take_back()
        if taken:
            self._used, self._inline.busy = False, None
        return taken

    def climb(self, rung: Rung, key: int, claim: int, reason: str) -> None:  # noqa: ARG002 - all rungs are one here
        """Ask this claim, on each rung once more: higher ones would end the worker itself."""
        if key:
            self.mark.ask(key, claim, reason)
            signal.pthread_kill(self._inline.thread, STOP_SIGNAL)

    def close(self) -> None:
        """Let go of the node's side; the other one finds that out."""
        if not self._page.closed:
            self.channel.hang_up()
        super().close()

    # its own
    def received(self) -> bytes | None:
        """Read what was handed over, b"" if nothing will be any more; None if it was taken back."""
        with suppress(BlockingIOError):
            return bytes(self.own.receive(int(socket.MSG_DONTWAIT)))
        return None

    def _check(self, action: str, version: int, payload: str) -> None:
        for target in self._setup.targets:
            if (target.name, target.version) == (action, version):
                Handler(target).check(payload)

    def serve(self, data: bytes) -> None:
        """Run this attempt, and with it this runner's life; just end it if there is none."""
        self.own.first = data
        mark = Mark(memoryview(self._own_page))
        HERE.inside, HERE.line = True, Line(self.own, self._line, self._setup.most_bytes, asker, self._check)
        try:
            code = serve(lambda: Child(self._setup, {}, self.own, mark).run(None)) if data else 0
        finally:
            HERE.inside, HERE.line = False, None
            mark.close()
            self._own_page.close()
            self.own.close()
            self._line.hang_up()
            if self._inline.busy is self:
                self._inline.busy = None
        self._served(self, code)


class _Once(Channel):
    """A channel that has the first packet, and then is at its end."""

    first: bytes | None = None

    def receive(self, flags: int = 0) -> bytes | memoryview:
        if self.first is None:
            return super().receive(flags)
        first, self.first = self.first, b""
        return first


class InlinePool(Pool):
    """Makes runners that one thread of this process serves."""

    def __init__(self, node: str, inline: Inline) -> None:
        super().__init__(node)
        self._inline = inline
        self._news: deque[ports.RunnerEvent] = deque()
        self._lock = threading.Lock()
        self._woken = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._woken, select.EPOLLIN)

    def start(self, setup: Setup, *, stdout: int | None = None, stderr: int | None = None) -> None:  # noqa: ARG002
        """Be ready at once: a handler is imported when it is first called, if it is not yet."""
        check_platform()
        self._setup = setup
        self._announce(ports.Prepared([], []))

    def spawn(self) -> Runner:
        """Make a runner, which can be handed work at once: what is to run around its life is begun with that."""
        assert self._setup is not None
        self._numbers += 1
        try:
            runner = InlineRunner(self._numbers, self._setup, self._epoll, self._inline, self._served)
        except OSError as error:
            raise RunnerUnavailable(f"no runner could be made: {error}") from None
        self.runners[runner.number] = runner
        self._watch(runner)
        self._announce(ports.Born(runner))
        if self._setup.around:
            self._announce(ports.Told(runner, [Fit()]))
        self._inline.take(runner)
        return runner

    def look(self, now: float) -> None:
        """There is no process that could fail to answer."""

    def _served(self, runner: Runner, code: int) -> None:
        self._announce(ports.Ended(runner, None, code))

    def _announce(self, event: ports.RunnerEvent) -> None:
        with self._lock:
            if self._woken >= 0:
                self._news.append(event)
                os.eventfd_write(self._woken, 1)

    def events(self, timeout: float = 0.0) -> list[ports.RunnerEvent]:
        """Read what has happened."""
        events = [_without_fit(event) for event in super().events(timeout)]
        with suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        while self._news:
            event = self._news.popleft()
            if isinstance(event, ports.Ended):
                events += map(_without_fit, self._last_words(self.runners.pop(event.runner.number)))
            events.append(event)
        return events

    def close(self) -> None:
        """Hand over nothing more; what runs goes on until it ends by itself."""
        with self._lock:
            if self._woken >= 0:
                os.close(self._woken)
            self._woken = -1
        super().close()


def _without_fit(event: ports.RunnerEvent) -> ports.RunnerEvent:
    """That a runner is fit was said when it was made."""
    if not isinstance(event, ports.Told):
        return event
    messages: list[FromRunner] = [one for one in event.messages if not (isinstance(one, Fit) and one.error is None)]
    return event._replace(messages=messages)
