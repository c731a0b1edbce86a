"""A runner of many attempts at a time: coroutines of one event loop.

Whose step the loop is taking stands in the mark, so that a crash, or a step that blocks all others, has a name. An
attempt is asked to stop by a message, which cancels its coroutine; while its own step blocks the loop, by the signal.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from socket import MSG_DONTWAIT
from types import FrameType
from typing import Any

from duly.core.passport import Passport
from duly.errors import PayloadInvalid, TaskStopped
from duly.runner import failures, output
from duly.runner.channel import Channel
from duly.runner.context import CURRENT, Task
from duly.runner.handler import Answer, Handler, failed, judged
from duly.runner.linux import STOP_SIGNAL
from duly.runner.shortage import tell, tell_unheard
from duly.runner.wear import Wear
from duly.wire.runner import Done, Mark, Said, Unheard, Work, decode_to_runner, encode

READ_MOST = 64
"""Messages that are read before the coroutines have their turn."""


class Shared:
    """The loop of such a runner; `find` returns a target's handler."""

    def __init__(
        self,
        find: Callable[[int], Handler | Answer],
        channel: Channel,
        mark: Mark,
        writer: output.Writer | None,
        wear: Wear,
        most_bytes: int,
    ) -> None:
        self._find = find
        self._channel = channel
        self._mark = mark
        self._wear = wear
        self._most_bytes = most_bytes
        self._pid = os.getpid()
        self._attempts: dict[tuple[int, int], asyncio.Task[None]] = {}
        self._unbegun: set[tuple[int, int]] = set()
        self._asked: dict[tuple[int, int], str] = {}
        self._told: set[tuple[int, int]] = set()
        self._broken_into: set[tuple[int, int]] = set()
        if writer is not None:
            writer.attribute(_owner)

    def run(self, first: Work) -> None:
        """Run attempts until the supervisor closes the channel and all have ended."""
        signal.signal(STOP_SIGNAL, self._on_signal)
        with asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            self._loop.set_task_factory(self._make_task)
            runner.run(self._serve(first))

    async def _serve(self, first: Work) -> None:
        self._over = asyncio.Event()
        self._begin(first)
        self._loop.add_reader(self._channel.fileno(), self._read)
        await self._over.wait()
        await asyncio.gather(*self._attempts.values())

    def _read(self) -> None:
        for _ in range(READ_MOST):
            try:
                data = self._channel.receive(int(MSG_DONTWAIT))
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(self._channel.fileno())
                self._over.set()
                return
            message = decode_to_runner(data)
            if isinstance(message, Work):
                self._begin(message)
            elif isinstance(message, Unheard):
                tell_unheard(self._channel, message)
            else:
                self._ask(message.key, message.claim, message.reason)

    # one attempt
    def _begin(self, work: Work) -> None:
        since = time.monotonic_ns()
        handler = self._find(work.target)
        if isinstance(handler, Answer):
            self._send(work, since, handler)
            return
        task = Task(work, handler.target, since, self._reason, self._say, lambda: _InLoop(self._loop))
        try:
            args, kwargs = handler.arguments(task, work.payload)
        except PayloadInvalid as error:
            self._send(work, since, Answer("invalid", error=failures.describe(error)))
            return
        context = copy_context()
        context.run(CURRENT.set, task)
        self._unbegun.add((work.key, work.claim))
        self._attempts[work.key, work.claim] = self._loop.create_task(
            self._attempt(work, task, since, handler, args, kwargs), context=context
        )

    async def _attempt(
        self, work: Work, task: Task, since: int, handler: Handler, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        fence = work.key, work.claim
        self._unbegun.discard(fence)
        try:
            task.check()
            answer = judged(await handler.call(args, kwargs), self._most_bytes, performing=False)
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything, and has neighbours
            answer = failed(error, asked=task.stop_reason is not None)
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that came back from the user's code: the answer is the runner's, and so is the loop
        task._end()  # noqa: SLF001 - the other friend of Task
        del self._attempts[fence]
        self._asked.pop(fence, None)
        self._told.discard(fence)
        self._broken_into.discard(fence)
        self._send(work, since, answer, task._children() if answer.kind == "success" else None)  # noqa: SLF001

    def _send(self, work: Work, since: int, answer: Answer, children: list[Passport] | None = None) -> None:
        nanoseconds = time.monotonic_ns() - since
        output.flush()
        tell(self._channel, Done(work.key, work.claim, nanoseconds, *answer, self._wear.worn(0), children))

    def _say(self, said: Said) -> None:
        self._channel.send(encode(said))

    # stopping
    def _ask(self, key: int, claim: int, reason: str) -> None:
        coroutine = self._attempts.get((key, claim))
        if coroutine is None or (key, claim) in self._told:
            return
        self._asked[key, claim] = reason
        self._told.add((key, claim))
        if (key, claim) not in self._unbegun:  # which would end without an answer, and finds out by itself
            coroutine.cancel()

    def _reason(self, key: int, claim: int) -> str:
        return self._asked.get((key, claim), "") or self._mark.asked(key, claim)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Stop the step that the loop is taking, if it is the one that is meant.

        It may be a step of what the handler has started: its own coroutine is told by the message all the same.
        """
        running = self._mark.running()
        fence = running[:2] if running is not None else (0, 0)
        reason = self._mark.asked(*fence)
        if not reason or fence in self._told or fence in self._broken_into:
            return
        self._broken_into.add(fence)
        if asyncio.current_task(self._loop) is self._attempts.get(fence):
            self._told.add(fence)
        raise TaskStopped(reason)

    # the loop
    def _make_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Any, *, context: Context | None = None, **more: Any
    ) -> asyncio.Task[Any]:
        """Make a task of the loop's whose steps say in the mark whose they are; also of what handlers start."""
        owner = CURRENT.get(None) if context is None else context.get(CURRENT)
        if owner is not None:
            coroutine = _Stepped(coroutine, self._mark, *owner._fence)  # noqa: SLF001
        return asyncio.Task(coroutine, loop=loop, context=context, **more)


class _InLoop:
    """Calls in the loop; handlers tell from threads of theirs, too."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    def call(self, seconds: float, what: Callable[[], None]) -> None:
        """Call it in so many seconds."""

        def begin() -> None:
            self._handle = self._loop.call_later(seconds, what)

        self._loop.call_soon_threadsafe(begin)

    def end(self) -> None:
        """Call nothing any more; in the loop."""
        if self._handle is not None:
            self._handle.cancel()


def _owner() -> tuple[int, int] | None:
    task = CURRENT.get(None)
    return None if task is None else task._fence  # noqa: SLF001


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose every step is marked."""

    __slots__ = ("_claim", "_coroutine", "_key", "_mark")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], mark: Mark, key: int, claim: int) -> None:
        self._coroutine = coroutine
        self._mark = mark
        self._key = key
        self._claim = claim

    def send(self, value: Any) -> Any:
        self._mark.begin(self._key, self._claim, time.monotonic_ns())
        try:
            return self._coroutine.send(value)
        finally:
            self._mark.end()

    def throw(self, *error: Any) -> Any:
        self._mark.begin(self._key, self._claim, time.monotonic_ns())
        try:
            return self._coroutine.throw(*error)
        finally:
            self._mark.end()

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._coroutine.__await__()
