"""One body for sync and async callers.

A verb that talks to the store is written once, as a generator that yields what it asks for: a `Request` to exchange,
a function of the store to call, a `Watch` to wait for, a `Tell` to call what the caller gave. `ask` drives it from a
plain thread, `aask` from an event loop, `pursue` by callbacks where nobody waits; that is all that differs.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar

from duly.engine.storethread import Post
from duly.engine.waits import Done
from duly.errors import OptionInvalid
from duly.ports import Request, Store
from duly.wire.runner import Question

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Watch(NamedTuple):
    """Wait for news of any of these tasks, of each of which the event of a number was the last one seen.

    Answered with how one stands that has a later event, has ended or is unknown; with None after so many seconds.
    """

    seen: Mapping[str, int]
    timeout: float | None


class Tell(NamedTuple):
    """Call what the caller has given with one argument, in the thread that waits; what it raises is the caller's."""

    function: Callable[[Any], Any]
    argument: Any


Asked: TypeAlias = Request | Callable[[Store], Any] | Watch | Question | Tell
Verb: TypeAlias = Generator[Asked, Any, T]
GiveUp: TypeAlias = Callable[[], None] | None


class Carrier(Protocol):
    """Who carries out what verbs ask for: the store's thread or, in a handler, the line to the supervisor.

    At `address` a submitter can be rung. `letters` are the answers on their way to event loops.
    """

    address: str
    letters: MutableMapping[Any, Any]

    def open(self) -> None:
        """Be ready, or raise why not."""

    def post(self, job: Any, done: Done) -> None:
        """Have it done; `done` is told in another thread."""

    def do(self, job: Any, done: Done) -> None:
        """Have it done, in the caller's thread if that is quicker."""

    def watch(self, seen: Mapping[str, int], done: Done, post: Post) -> Callable[[], None]:
        """Tell `done` what a `Watch` is answered with, unless what is returned is called before; `post` as above."""


def call(function: Callable[[Store], T]) -> Verb[T]:
    """Call one function of the store."""
    result: T = yield function
    return result


def ask(thread: Carrier, verb: Verb[T]) -> T:
    """Carry out a verb, waiting in this thread."""
    try:
        asked = next(verb)
        while True:
            if isinstance(asked, Tell):
                _tell(asked)
                asked = verb.send(None)
                continue
            answer, give_up = _Answer(), None
            try:
                give_up = _post(thread, asked, answer.done, thread.do)
                result = answer.wait(_timeout(asked))
            except Exception as error:  # noqa: BLE001 - it is the verb's to deal with
                asked = verb.throw(error)
                continue
            except BaseException:  # interrupted: nobody waits any more
                if give_up is not None:
                    give_up()
                raise
            if result is _NOT_YET:
                result = None
                if give_up is not None:
                    give_up()
            asked = verb.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        verb.close()


def ask_each(thread: Carrier, verbs: Iterable[Verb[T]]) -> Iterator[T]:
    """Carry out verbs that wait for nothing but the store; each is made while the one before is under way.

    Should the iterable of verbs raise, what is under way is over before that is told.
    """
    under_way: deque[_Answer] = deque()
    try:
        for verb in verbs:
            answer = _Answer()
            pursue(thread, verb, answer.done)
            under_way.append(answer)
            if len(under_way) > 1:
                yield under_way.popleft().wait(None)
    except Exception:
        for answer in under_way:
            with suppress(Exception):
                answer.wait(None)
        raise
    for answer in under_way:
        yield answer.wait(None)


async def aask(thread: Carrier, verb: Verb[T]) -> T:
    """Carry out a verb, awaiting in this event loop."""
    import asyncio  # noqa: PLC0415 - 15 ms that sync callers need not spend

    loop = asyncio.get_running_loop()
    letters = thread.letters.get(loop) or thread.letters.setdefault(loop, Letters(loop))
    try:
        asked = next(verb)
        while True:
            if isinstance(asked, Tell):
                told = _call(asked)
                if told is not None:
                    await told
                asked = verb.send(None)
                continue
            future: asyncio.Future[Any] = loop.create_future()
            give_up = None
            try:
                give_up = _post(thread, asked, partial(letters.put, future), thread.post)
                timeout = _timeout(asked)
                if timeout is None:
                    result = await future
                else:
                    async with asyncio.timeout(timeout):
                        result = await future
            except TimeoutError:
                result = None
            except Exception as error:  # noqa: BLE001 - it is the verb's to deal with
                asked = verb.throw(error)
                continue
            finally:
                if give_up is not None and not (future.done() and not future.cancelled()):
                    give_up()
            asked = verb.send(result)
    except StopIteration as stop:
        value: T = stop.value
        return value
    finally:
        verb.close()


def pursue(thread: Carrier, verb: Verb[T], done: Done) -> None:
    """Carry out a verb that waits for nothing but the store; `done` is told what it came to, in the store's thread."""

    def go_on(result: Any, error: BaseException | None) -> None:
        try:
            asked = verb.send(result) if error is None else verb.throw(error)
        except StopIteration as stop:
            done(stop.value, None)
        except Exception as raised:  # noqa: BLE001 - it is told to whoever asked
            done(None, raised)
        else:
            try:
                thread.post(asked, go_on)
            except Exception as refused:  # noqa: BLE001 - a store that is closed
                go_on(None, refused)

    go_on(None, None)


def _post(thread: Carrier, asked: Asked, done: Done, post: Post) -> GiveUp:
    if isinstance(asked, Watch):
        return thread.watch(asked.seen, done, post)
    post(asked, done)
    return None


def _timeout(asked: Asked) -> float | None:
    return asked.timeout if isinstance(asked, Watch) else None


def _call(asked: Tell) -> Awaitable[Any] | None:
    """Call it; what is to be awaited then is returned."""
    try:
        told = asked.function(asked.argument)
    except StopIteration as error:  # which would end the verb in silence
        raise RuntimeError(f"{asked.function!r} raised StopIteration") from error
    return told if hasattr(told, "__await__") else None


def _tell(asked: Tell) -> None:
    told = _call(asked)
    if told is not None:
        if hasattr(told, "close"):
            told.close()
        raise OptionInvalid(
            f"{asked.function!r} is async: only what is awaited (aresult, await_, aevents) can await it"
        )


_NOT_YET = object()


class _Answer:
    """An answer that a thread waits for; a lock is the lightest thing a thread can wait on."""

    __slots__ = ("_error", "_lock", "_result")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._result: Any = None
        self._error: BaseException | None = None

    def done(self, result: Any, error: BaseException | None) -> None:
        self._result, self._error = result, error
        self._lock.release()

    def wait(self, timeout: float | None) -> Any:
        if not self._lock.acquire(timeout=-1 if timeout is None else max(0.0, timeout)):
            return _NOT_YET
        if self._error is not None:
            raise self._error
        return self._result


class Letters:
    """Answers for one event loop. Those that come together wake it once: each time would hand the interpreter over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = weakref.ref(loop)
        self._answers: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False

    def put(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        """Have a future of the loop done; from any thread."""
        self._answers.append((future, result, error))
        loop = self._loop()
        if self._told or loop is None:
            return
        self._told = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._told = False  # from now on what comes may come too late for this time
        while self._answers:
            future, result, error = self._answers.popleft()
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
