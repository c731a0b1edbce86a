"""The line from a handler to its supervisor: questions go out by the runner's channel, answers come by the line.

A handler may ask from several threads and coroutines at once. Who asks first starts the one thread that reads answers
and wakes those who wait. It is unknown to `threading`: no leftover of a task, and nobody's to join. It is not there in
a fork, which therefore cannot ask.
"""

from __future__ import annotations

import _thread
import os
import select
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from contextvars import Context, copy_context
from itertools import count
from queue import SimpleQueue
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import msgspec

from duly.errors import DulyError, NotAvailable, PayloadInvalid, StoreUnavailable
from duly.runner.channel import Channel, pair
from duly.wire.runner import (
    UNHEARD,
    Answered,
    Ask,
    Declared,
    Question,
    Refused,
    decode_answered,
    decode_declared,
    encode,
)

Done: TypeAlias = Callable[[Any, BaseException | None], None]
"""Called with the answer or the error in the thread that reads; must be quick and not raise."""

MOST_UNSENT = 64 * 1024 * 1024
"""Bytes of answers that a supervisor keeps for a runner that does not read them; each counts for `LEAST` at least."""

LEAST = 4 * 1024

_UNTOLD = Refused.of(StoreUnavailable("no file descriptor was free to pass on an answer of more than 64 KiB by"))

_ANY_SIZE = 1 << 40
_NOBODY: tuple[Context, Done] = Context(), lambda _answer, _error: None


class Line:
    """The runner's side. It does for a handler what the store's thread does for others.

    `asker` returns the (key, claim) of the attempt that asks, or raises. `check` raises `PayloadInvalid` if a handler
    known here would not take a payload: (action, version, JSON text).
    """

    address = ""

    def __init__(
        self,
        channel: Channel,
        answers: Channel,
        most: int,
        asker: Callable[[], tuple[int, int]],
        check: Callable[[str, int, str], None],
    ) -> None:
        self.letters: MutableMapping[Any, Any] = WeakKeyDictionary()
        self.check = check
        self.most = most
        self._channel = channel
        self._answers = answers
        self._asker = asker
        self._pid = os.getpid()
        self._numbers = count(1)
        self._waiting: dict[int, tuple[Context, Done]] = {}
        self._begun = threading.Lock()  # taken once and for all by who starts the reader
        self._over = False
        self._declared: dict[tuple[str, int | None, str | None], Declared] = {}

    def adopt(self) -> None:
        """Be this process's line, though it was made by the one that forked it and never asks."""
        self._pid = os.getpid()
        self._numbers = count(time.monotonic_ns())  # what was answered too late for another fork is nobody's here

    def open(self) -> None:
        """Raise `NotAvailable` where nobody can ask."""
        if self._pid != os.getpid():
            raise NotAvailable("a process that a handler forked has no line to the supervisor; ask before the fork")
        self._asker()

    def post(self, question: object, done: Done) -> None:
        """Ask; `done` is told. Raises `NotAvailable` for what cannot be asked."""
        if not isinstance(question, Question):
            raise NotAvailable("this can be done by a program that has the store, not inside a handler")
        self._ask(question, done)

    do = post

    def declared(self, action: str, version: int | None, queue: str | None) -> Declared:
        """Ask, and wait for it here, how an action is declared; by that the supervisor knows what may come of it."""
        told = self._declared.get((action, version, queue))
        if told is None:
            answers: SimpleQueue[tuple[bytes, BaseException | None]] = SimpleQueue()
            question = Question("declared", encode((action, version, queue)))
            self._ask(question, lambda body, error: answers.put((body, error)))
            body, error = answers.get()
            if error is not None:
                raise error
            told = self._declared[action, version, queue] = decode_declared(body)
        return told

    def watch(self, seen: Mapping[str, int], done: Done, _post: object) -> Callable[[], None]:
        """Tell `done` how one of these tasks stands that has news, unless what is returned is called before."""

        def tell(body: Any, error: BaseException | None) -> None:
            from duly.ports import Glance  # noqa: PLC0415 - who waits has it

            done(None if error is not None else Glance(*msgspec.msgpack.decode(body)), error)

        number = self._ask(Question("watch", encode((dict(seen),))), tell)

        def give_up() -> None:
            if self._waiting.pop(number, None) is not None:
                with suppress(DulyError):
                    self._say(number, Question("forget", b""))

        return give_up

    def _ask(self, question: Question, done: Done) -> int:
        self.open()
        if len(question.body) > 2 * self.most:
            raise PayloadInvalid(f"{len(question.body):,} bytes are more than can be asked for at once")
        self._listen()
        number = next(self._numbers)
        self._waiting[number] = copy_context(), done  # what is told may ask on, for the same task
        try:
            self._say(number, question)
        except BaseException:
            self._waiting.pop(number, None)
            raise
        if self._over:
            self._hang_up()
        return number

    def _say(self, number: int, question: Question) -> None:
        asker = self._asker()
        try:
            self._channel.send_or(
                encode(Ask(*asker, number, *question)), lambda: encode(Ask(*asker, number, UNHEARD, b""))
            )
        except OSError as error:
            raise StoreUnavailable(f"the worker cannot be asked: {error}") from None

    # the reader
    def _listen(self) -> None:
        if not self._begun.acquire(blocking=False):
            return
        try:
            _thread.start_new_thread(self._read, ())
        except BaseException:
            self._begun.release()
            raise

    def _read(self) -> None:
        """Wake whoever is answered. Here no signal is taken: the main thread is to notice it where it waits."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        with suppress(OSError, ValueError):  # the user's code got hold of the line
            while data := self._answers.receive():
                answered = decode_answered(data)
                context, done = self._waiting.pop(answered.number, _NOBODY)
                error = None if answered.refused is None else answered.refused.error()
                context.run(done, answered.body, error)
        self._over = True
        self._hang_up()

    def _hang_up(self) -> None:
        """Nobody answers any more."""
        while self._waiting:
            with suppress(KeyError):
                context, done = self._waiting.popitem()[1]
                context.run(done, None, StoreUnavailable("the worker is gone, and answers no more"))


class Answers:
    """The supervisor's side: it never waits, what does not go now is sent when there is room. One loop owns it."""

    def __init__(self, epoll: select.epoll) -> None:
        ours, self.theirs = pair()
        ours.setblocking(False)
        self._channel = Channel(ours, most=0)
        self._epoll = epoll
        self._unsent: deque[Answered] = deque()
        self._bytes = 0

    def fileno(self) -> int:
        """The descriptor that is watched while something is unsent."""
        return self._channel.fileno()

    def passed_on(self) -> None:
        """The runner has its end."""
        self.theirs.close()

    def send(self, answered: Answered) -> bool:
        """Send an answer; False if too much is unsent already, and this is not kept."""
        if self._unsent:
            return self._keep(answered)
        try:
            self._send(answered)
        except BlockingIOError:
            self._epoll.register(self, select.EPOLLOUT)
            return self._keep(answered)
        except OSError:
            pass  # it has closed its end, or is gone
        return True

    def _send(self, answered: Answered) -> None:
        self._channel.send_or(encode(answered), lambda: encode(Answered(answered.number, refused=_UNTOLD)))

    def _keep(self, answered: Answered) -> bool:
        if self._unsent and self._bytes + _cost(answered) > MOST_UNSENT:
            return False
        self._unsent.append(answered)
        self._bytes += _cost(answered)
        return True

    def flush(self) -> None:
        """Send what there is room for now."""
        try:
            while self._unsent:
                self._send(self._unsent[0])
                self._bytes -= _cost(self._unsent.popleft())
        except BlockingIOError:
            return
        except OSError:
            self._unsent.clear()
        self._epoll.unregister(self)

    def close(self) -> None:
        """Answer no more; safe to call twice."""
        self._unsent.clear()
        self._channel.close()
        self.theirs.close()


def _cost(answered: Answered) -> int:
    return max(LEAST, len(answered.body))


def line_end(fd: int) -> Channel:
    """The runner's end of a line that came as this descriptor; answers may be of any size."""
    return Channel(socket.socket(fileno=fd), most=_ANY_SIZE)
