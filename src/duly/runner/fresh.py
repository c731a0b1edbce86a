"""A runner whose every attempt runs in a fork of its own, made for it and gone after it.

What is set up for a runner (channel, mark, output, line, signals) is set up once; the runner itself runs no user code.
It sees how the fork ends, and kills what that leaves behind. In the mark the fork says who it is: signals are meant for
it. In a fork each call costs: what it touches is copied, page by page.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from duly.runner import output
from duly.runner.channel import Channel
from duly.runner.linux import children_of, die_with_parent, kill_all_below
from duly.runner.shortage import tell_unheard
from duly.wire.runner import Done, Mark, Unheard, Work, decode_to_runner, encode


class Fresh:
    """The loop of such a runner; `serve` runs one attempt, answers, and returns the exit code of its process."""

    def __init__(
        self, serve: Callable[[Work], int], channel: Channel, mark: Mark, writer: output.Writer | None
    ) -> None:
        self._serve = serve
        self._channel = channel
        self._mark = mark
        self._writer = writer

    def run(self, first: Work) -> None:
        """Run attempts until the supervisor closes the channel."""
        gc.freeze()  # what is not looked at in the fork need not be copied
        self._attempt(first)
        while data := self._channel.receive():
            message = decode_to_runner(data)
            if isinstance(message, Work):
                self._attempt(message)
            elif isinstance(message, Unheard):
                tell_unheard(self._channel, message)

    def _attempt(self, work: Work) -> None:
        own = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self._channel.send(encode(Done(work.key, work.claim, 0, "refused", error.strerror, retire=True)))
            return
        if pid == 0:
            self._be_fork(work, own)
        _, status = os.waitpid(pid, 0)
        self._mark.be(0)
        self._kill_leftovers()
        code = os.waitstatus_to_exitcode(status)
        if code or self._mark.running() is not None:  # to have answered and be told of again does no harm
            self._tell_end(work, code)

    def _be_fork(self, work: Work, parent: int) -> NoReturn:
        """The fork's side; never returns."""
        code = 1
        try:
            die_with_parent()
            if os.getppid() == parent:
                self._mark.be(os.getpid())
                self._mark.begin(work.key, work.claim, time.monotonic_ns())
                code = self._serve(work)
        finally:
            os._exit(code)

    def _tell_end(self, work: Work, status: int) -> None:
        """It ended without an answer."""
        if self._writer is not None:
            self._writer.end_task(work.key, work.claim, briefly=False)
        self._channel.send(encode(Done(work.key, work.claim, 0, "died", status=status)))
        self._mark.end()

    def _kill_leftovers(self) -> None:
        """Kill and reap what the fork has left behind, and in turn what that has."""
        with suppress(ChildProcessError):
            while True:
                if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG) is None:
                    kill_all_below(children_of(os.getpid()))
                    os.waitid(os.P_ALL, 0, os.WEXITED)
