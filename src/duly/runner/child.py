"""A runner: a process that runs attempts, one after another, and answers for each.

It reads `Work` from its channel, runs the user's code, and sends `Done`. What it cannot answer for (a kill, a crash, an
exit) its supervisor sees from outside.
"""

from __future__ import annotations

import inspect
import os
import resource
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from duly.core.passport import Passport
from duly.errors import PayloadInvalid, TaskStopped
from duly.runner import failures, output
from duly.runner.channel import Channel
from duly.runner.context import CURRENT, HERE, Task
from duly.runner.fresh import Fresh
from duly.runner.handler import Answer, Handler, failed, found, judged
from duly.runner.linux import own_memory
from duly.runner.shortage import tell, tell_unheard
from duly.runner.stopper import Stopper
from duly.runner.updates import ByThread
from duly.runner.wear import BRIEFLY, Wear
from duly.wire.runner import Done, Fit, Mark, Said, Setup, Unheard, Work, decode_to_runner, encode

if TYPE_CHECKING:
    import asyncio

MEMORY_SLACK = 256 * 1024 * 1024
"""What an attempt may reserve beyond twice its memory limit: reserving is not using, the supervisor measures use."""


class Child:
    """The loop of one runner, and what it needs; `handlers` are those that its zygote has resolved already."""

    def __init__(self, setup: Setup, handlers: dict[int, Handler], channel: Channel, mark: Mark) -> None:
        self._setup = setup
        self._handlers = handlers
        self._channel = channel
        self._mark = mark
        self._stopper = Stopper(mark)
        self._wear = Wear(setup.recycle_tasks, setup.recycle_growth)
        self._writer: output.Writer | None = None
        self._uncaught: BaseException | None = None
        self._threads = 1
        self._alone = False
        self._watches_loops = False
        self._pid = os.getpid()

    def run(self, writer: output.Writer | None) -> None:
        """Run attempts until the supervisor closes the channel."""
        self._writer = writer
        with ExitStack() as around:
            if self._setup.around and not self._set_up(around):
                return
            self._serve()

    def _set_up(self, around: ExitStack) -> bool:
        """Enter what the user has declared to be around a runner's life, and tell whether that went well."""
        try:
            for index in self._setup.around:
                generator = found(self._setup.targets[index])
                if isinstance(generator, Answer):
                    self._channel.send(encode(Fit(generator.error)))
                    return False
                around.enter_context(contextmanager(generator.call)((), {}))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            self._channel.send(encode(Fit(failures.describe(error))))
            return False
        self._channel.send(encode(Fit()))
        return True

    def _serve(self) -> None:
        self._stopper.install()
        threading.excepthook = self._on_thread_exception
        sys.meta_path.insert(0, _LoopsImported(self._watch_loops))
        self._threads = threading.active_count()
        plain = self._plain()
        while data := self._channel.receive():
            work = decode_to_runner(data)
            if isinstance(work, Unheard):
                tell_unheard(self._channel, work)
            if not isinstance(work, Work):
                continue  # to stop is meant for one that runs many at a time
            if work.target not in plain:
                self._become(work)
                return
            tell(self._channel, self._attempt(work))
            self._mark.end()

    def _plain(self) -> set[int]:
        """The places of targets that are run here, one attempt after another."""
        fresh = "fresh" if self._setup.around else None  # which one process has begun, and no other may go on
        return {n for n, target in enumerate(self._setup.targets) if target.isolation in ("process", fresh)}

    def _become(self, first: Work) -> None:
        """From now on run what is of another kind, in the way of that."""
        if self._setup.targets[first.target].isolation == "shared":
            self._share(first)
        else:
            Fresh(self._serve_alone, self._channel, self._mark, self._writer).run(first)

    def _answer(self, work: Work) -> None:
        tell(self._channel, self._attempt(work))
        self._mark.end()

    def _serve_alone(self, work: Work) -> int:
        """Run one attempt in a process that was forked for it, and return its exit code."""
        self._pid = os.getpid()
        self._alone = True
        if HERE.line is not None:
            HERE.line.adopt()
        return serve(lambda: self._answer(work))

    def _share(self, first: Work) -> None:
        """From now on run attempts of this kind alone, many at a time."""
        from duly.runner.shared import Shared  # noqa: PLC0415 - asyncio takes 20 ms that other runners need not spend

        self._watch_loops()
        Shared(
            lambda index: self._handlers.get(index) or self._found(index),
            self._channel,
            self._mark,
            self._writer,
            self._wear,
            self._setup.most_bytes,
        ).run(first)

    def _attempt(self, work: Work) -> Done:
        since = time.monotonic_ns()
        self._mark.begin(work.key, work.claim, since)
        children: list[Passport] | None = None
        handler = self._handlers.get(work.target) or self._found(work.target)
        if isinstance(handler, Answer):
            answer = handler
        else:
            task = Task(work, handler.target, since, self._mark.asked, self._say, ByThread)
            answer = self._run(handler, task, work)
            if task._family is not None and answer.kind == "success":  # noqa: SLF001
                children = task._children()  # noqa: SLF001
        if os.getpid() != self._pid:
            raise SystemExit  # a fork that came back from the user's code: the answer is the parent's
        nanoseconds = time.monotonic_ns() - since
        briefly = nanoseconds < BRIEFLY
        if self._writer is not None:
            self._writer.end_task(work.key, work.claim, briefly=briefly)
        else:
            output.flush()
        retire = not self._alone and (  # a fork ends anyway, and with it what it leaves behind
            answer.kind == "stopped" or self._wear.worn(nanoseconds) or self._leftovers(briefly=briefly)
        )
        return Done(work.key, work.claim, nanoseconds, *answer, retire, children)

    def _say(self, said: Said) -> None:
        self._channel.send(encode(said))

    def _found(self, index: int) -> Handler | Answer:
        handler = found(self._setup.targets[index])
        self._threads = threading.active_count()  # what the import started is nothing that a task left behind
        if isinstance(handler, Handler):
            self._handlers[index] = handler
        return handler

    def _run(self, handler: Handler, task: Task, work: Work) -> Answer:
        token = CURRENT.set(task)
        HERE.task = task
        self._uncaught = None
        limits = _MemoryLimit(self._mark, work.memory, self._beside()) if work.memory is not None else None
        try:
            return self._called(handler, task, work)
        finally:
            if limits is not None:
                limits.lift()
            HERE.task = None
            CURRENT.reset(token)
            task._end()  # noqa: SLF001 - the one friend of Task

    def _beside(self) -> int:
        """The memory of the runner that a fork was made by, which is measured with it."""
        return own_memory(os.getppid()) if self._alone else 0

    def _called(self, handler: Handler, task: Task, work: Work) -> Answer:
        """Call the user's code and turn whatever it does into an answer."""
        try:
            args, kwargs = handler.arguments(task, work.payload)
        except PayloadInvalid as error:
            return Answer("invalid", error=failures.describe(error))
        try:
            try:
                self._watch_loops()
                self._stopper.arm(work.key, work.claim)
                task.check()
                value = handler.call(args, kwargs)
                if inspect.iscoroutine(value):
                    value = self._awaited(value)
                self._join_threads()
            finally:
                self._stopper.disarm()
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            return failed(error, asked=task.stop_reason is not None)
        if self._uncaught is not None:
            return Answer("raised", error=failures.describe(self._uncaught))
        return judged(value, self._setup.most_bytes, performing=self._setup.perform)

    def _awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine to its end in an event loop of its own."""
        import asyncio  # noqa: PLC0415 - 20 ms that a runner without async handlers need not spend

        self._watch_loops()
        with asyncio.Runner() as runner:
            loop = runner.get_loop()

            async def main() -> Any:
                task = asyncio.current_task()
                assert task is not None
                self._stopper.arm_with(lambda: loop.call_soon_threadsafe(task.cancel))
                return await coroutine

            return runner.run(main())

    def _join_threads(self) -> None:
        """`perform` answers when all is done: threads that keep a program alive are waited for, as at its exit."""
        if not self._setup.perform:
            return
        for end in reversed(getattr(threading, "_threading_atexits", ())):
            end()  # pools that were left open: their threads end only when they hear that all is over
        main = threading.main_thread()
        while threads := [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]:
            for thread in threads:
                thread.join()

    def _leftovers(self, *, briefly: bool) -> bool:
        """Whether the task left a process or thread behind."""
        if threading.active_count() > self._threads:
            return True
        if briefly:
            return False
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _on_thread_exception(self, args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit | TaskStopped):
            self._uncaught = args.exc_value
            threading.__excepthook__(args)

    def _watch_loops(self) -> None:
        """Hear of what nobody catches in callbacks of any event loop, also of one that the user's code runs itself."""
        asyncio_events = sys.modules.get("asyncio.base_events")
        if asyncio_events is None or self._watches_loops:
            return
        self._watches_loops = True
        loop_class: type[asyncio.BaseEventLoop] = asyncio_events.BaseEventLoop
        plain = loop_class.default_exception_handler

        def record(loop: asyncio.BaseEventLoop, context: dict[str, Any]) -> None:
            error = context.get("exception")
            if isinstance(error, BaseException):
                self._uncaught = error
            plain(loop, context)

        loop_class.default_exception_handler = record  # type: ignore[assignment, method-assign]


class _LoopsImported:
    """Calls back when asyncio's loops have just been imported; it finds no module itself."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> None:
        if name == "asyncio.unix_events":  # which asyncio imports last
            sys.meta_path.remove(self)
            self._then()


class _MemoryLimit:
    """Tells the supervisor where this attempt's memory begins, and stops a greedy allocation before it is used."""

    def __init__(self, mark: Mark, limit: int, beside: int) -> None:
        mark.set_base(own_memory(os.getpid()) + beside)
        self._soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = _reserved() + 2 * limit + MEMORY_SLACK
        self._hard = hard
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def lift(self) -> None:
        with suppress(ValueError, OSError):  # the user's code may have lowered the hard limit for good
            resource.setrlimit(resource.RLIMIT_DATA, (self._soft, self._hard))


def _reserved() -> int:
    """The bytes of private writable memory this process has asked for, as RLIMIT_DATA counts them."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def serve(child: Callable[[], None]) -> int:
    """Run a child to its end and return the exit code that its process is to have."""
    try:
        child()
    except SystemExit as error:
        output.flush()
        if error.code is None:
            return 0
        if isinstance(error.code, int):
            return error.code & 0xFF
        sys.stderr.write(f"{error.code}\n")
        output.flush()
        return 1
    except (BrokenPipeError, ConnectionResetError):
        return 0  # the supervisor is gone, and with it whoever wants an answer
    output.flush()
    return 0
