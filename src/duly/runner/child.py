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
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from duly.core import jsonvalue, units
from duly.core.outcome import Failure, Snooze, Success
from duly.core.signature import Signature
from duly.errors import ErrorData, InvalidInput, PayloadInvalid, TargetNotFound, TaskStopped
from duly.runner import failures, output
from duly.runner.channel import Channel
from duly.runner.context import CURRENT, HERE, Task
from duly.runner.linux import own_memory
from duly.runner.stopper import Stopper
from duly.runner.targets import resolve
from duly.wire.runner import Done, Kind, Mark, Said, Setup, Target, Work, decode_work, encode

if TYPE_CHECKING:
    import asyncio

MEMORY_SLACK = 256 * 1024 * 1024
"""What an attempt may reserve beyond twice its memory limit: reserving is not using, the supervisor measures use."""


BRIEFLY = 50_000
"""Nanoseconds in which nobody can start a process."""


class Answer(NamedTuple):
    """What an attempt came to, in the words of `Done`."""

    kind: Kind
    value: str | None = None
    error: ErrorData | None = None
    retry: bool = True
    until: int | None = None
    peak: int | None = None


_NOTHING = Answer("success", "null")


class Handler:
    """A target ready to be called: an action's handler with its arguments, or `perform`'s with its one value."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._function = resolve(target)
        self._signature = Signature(self._function, Task) if target.name else None

    def call(self, task: Task, payload: str) -> Any:
        """Call it; for an `async def`, return the coroutine."""
        signature = self._signature
        if signature is None:
            return self._function(jsonvalue.load(payload))
        args, kwargs = signature.decode(payload)
        if signature.takes_context:
            return self._function(task, *args, **kwargs)
        return self._function(*args, **kwargs)


class Child:
    """The loop of one runner, and what it needs; `handlers` are those that its zygote has resolved already."""

    def __init__(self, setup: Setup, handlers: dict[int, Handler], channel: Channel, mark: Mark) -> None:
        self._setup = setup
        self._handlers = handlers
        self._channel = channel
        self._mark = mark
        self._stopper = Stopper(mark)
        self._writer: output.Writer | None = None
        self._uncaught: BaseException | None = None
        self._threads = 1
        self._watches_loops = False
        self._pid = os.getpid()

    def run(self, writer: output.Writer | None) -> None:
        """Run attempts until the supervisor closes the channel."""
        self._writer = writer
        self._stopper.install()
        threading.excepthook = self._on_thread_exception
        sys.meta_path.insert(0, _LoopsImported(self._watch_loops))
        self._threads = threading.active_count()
        while data := self._channel.receive():
            work = decode_work(data)
            done = self._attempt(work)
            self._channel.send(encode(done))
            self._mark.end()

    def _attempt(self, work: Work) -> Done:
        since = time.monotonic_ns()
        self._mark.begin(work.key, work.claim, since)
        handler = self._handlers.get(work.target)
        if handler is None:
            handler, answer = self._import(work.target)
        if handler is not None:
            answer = self._run(handler, Task(work, handler.target, self._mark, self._say), work)
        if os.getpid() != self._pid:
            raise SystemExit  # a fork that came back from the user's code: the answer is the parent's
        nanoseconds = time.monotonic_ns() - since
        briefly = nanoseconds < BRIEFLY
        if self._writer is not None:
            self._writer.end_task(work.key, work.claim, briefly=briefly)
        else:
            output.flush()
        retire = answer.kind == "stopped" or self._leftovers(briefly=briefly)
        return Done(work.key, work.claim, nanoseconds, *answer, retire)

    def _say(self, said: Said) -> None:
        self._channel.send(encode(said))

    def _import(self, index: int) -> tuple[Handler | None, Answer]:
        """Import a handler only now; without one, the answer says why there is none."""
        try:
            handler = self._handlers[index] = Handler(self._setup.targets[index])
        except TargetNotFound as error:
            return None, Answer("missing", error=ErrorData(type="TargetNotFound", message=str(error)))
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - an import runs user code, which may raise anything
            return None, Answer("raised", error=failures.describe(error))
        self._threads = threading.active_count()  # what the import started is nothing that a task left behind
        return handler, Answer("success")

    def _run(self, handler: Handler, task: Task, work: Work) -> Answer:
        token = CURRENT.set(task)
        HERE.task = task
        self._uncaught = None
        limits = _MemoryLimit(self._mark, work.memory) if work.memory is not None else None
        try:
            return self._called(handler, task, work)
        finally:
            if limits is not None:
                limits.lift()
            HERE.task = None
            CURRENT.reset(token)
            task._end()  # noqa: SLF001 - the one friend of Task

    def _called(self, handler: Handler, task: Task, work: Work) -> Answer:
        """Call the user's code and turn whatever it does into an answer."""
        try:
            try:
                self._watch_loops()
                self._stopper.arm(work.key, work.claim)
                task.check()
                value = handler.call(task, work.payload)
                if inspect.iscoroutine(value):
                    value = self._awaited(value)
                self._join_threads()
            finally:
                self._stopper.disarm()
        except MemoryError as error:
            return Answer("memory", error=failures.describe(error), peak=_peak())
        except PayloadInvalid as error:
            return Answer("invalid", error=failures.describe(error))
        except SystemExit:
            raise
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything
            if task.stop_reason is not None and _means_stopped(error):
                return Answer("stopped")
            return Answer("raised", error=failures.describe(error))
        if self._uncaught is not None:
            return Answer("raised", error=failures.describe(self._uncaught))
        return self._judged(value)

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
        for tell in reversed(getattr(threading, "_threading_atexits", ())):
            tell()  # pools that were left open: their threads end only when they hear that all is over
        main = threading.main_thread()
        while threads := [thread for thread in threading.enumerate() if not thread.daemon and thread is not main]:
            for thread in threads:
                thread.join()

    def _judged(self, value: Any) -> Answer:
        """Turn what a handler returned into an answer; a bare bool is the outcome for `perform` only."""
        if value is None:
            return _NOTHING
        performing = self._setup.perform
        most = self._setup.most_bytes
        try:
            if isinstance(value, Failure):
                return Answer("failure", jsonvalue.dump(value.value, most).decode(), retry=value.retry)
            if isinstance(value, Snooze) and performing:
                return Answer("invalid", error=ErrorData(type="Snooze", message="only an action's task can come back"))
            if isinstance(value, Snooze):
                return Answer("snooze", until=units.moment(value.until, datetime.now(UTC), "snooze"))
            if performing and value is False:
                return Answer("failure", "null")
            if performing and value is True:
                return Answer("success", "null")
            result = value.value if isinstance(value, Success) else value
            return Answer("success", jsonvalue.dump(result, most).decode())
        except InvalidInput as error:
            return Answer("invalid", error=ErrorData(type=type(error).__name__, message=f"the result: {error}"))
        except MemoryError as error:
            return Answer("memory", error=failures.describe(error), peak=_peak())
        except Exception as error:  # noqa: BLE001 - what is encoded may be made by the user's classes
            return Answer("invalid", error=failures.describe(error))

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

    def __init__(self, mark: Mark, limit: int) -> None:
        mark.set_base(own_memory(os.getpid()))
        self._soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = _reserved() + 2 * limit + MEMORY_SLACK
        self._hard = hard
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, hard))

    def lift(self) -> None:
        with suppress(ValueError, OSError):  # the user's code may have lowered the hard limit for good
            resource.setrlimit(resource.RLIMIT_DATA, (self._soft, self._hard))


def _means_stopped(error: BaseException) -> bool:
    """Whether this is how code ends that was asked to; the name tells, for asyncio may not be imported."""
    return isinstance(error, TaskStopped) or type(error).__name__ == "CancelledError"


def _reserved() -> int:
    """The bytes of private writable memory this process has asked for, as RLIMIT_DATA counts them."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
