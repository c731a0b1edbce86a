from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from duly.core.task import State
from duly.engine.asking import Tell, Verb, Watch, aask, ask, ask_each
from duly.engine.desk import NEVER
from duly.engine.storethread import StoreThread
from duly.errors import DulyError, OptionInvalid, StoreUnavailable
from duly.ports import CancelAsked, Glance, Request
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import asked, lane_of, submission
from tests.helpers import eventually

T = TypeVar("T")


@pytest.fixture
def thread() -> Iterator[StoreThread]:
    thread = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 60.0)
    lane = asked(thread, lane_of)
    asked(thread, Request(submits=[submission("t", lane)]))
    yield thread
    thread.close()


def end_of(task_id: str, timeout: float | None) -> Watch:
    """Wait until a task has ended."""
    return Watch({task_id: NEVER}, timeout)


def in_loop(thread: StoreThread, verb: Verb[T]) -> T:
    return asyncio.run(aask(thread, verb))


both = pytest.mark.parametrize("carry_out", [ask, in_loop])
Way = Callable[[StoreThread, Verb[Any]], Any]


@both
def test_a_verb_is_answered_step_by_step_and_returns_its_own_result(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[list[Any]]:
        found = yield lambda store: [row.id for row in store.find(["t"])]
        reply = yield Request(cancels=[CancelAsked("t", "enough")])
        ended = yield end_of("t", 30)
        return [found, reply.cancelled, ended]

    assert carry_out(thread, verb()) == [["t"], {"t": "cancelled"}, Glance("t", State.CANCELLED, None, 2)]


@both
def test_a_verb_that_asks_for_nothing_needs_no_store(carry_out: Way) -> None:
    def verb() -> Verb[int]:
        return 5
        yield

    thread = StoreThread(lambda: SqliteStore("/nowhere/at/all"), DatagramBell, 60.0)
    assert carry_out(thread, verb()) == 5


@both
def test_an_error_of_the_store_is_raised_inside_the_verb_which_may_go_on(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[str]:
        with suppress(ZeroDivisionError):
            yield lambda _: 1 // 0
        return str((yield lambda store: store.find(["t"])[0].id))

    assert carry_out(thread, verb()) == "t"


@both
def test_an_error_that_the_verb_lets_pass_reaches_the_caller_after_its_cleanup(
    thread: StoreThread, carry_out: Way
) -> None:
    closed = []

    def verb() -> Verb[None]:
        try:
            yield lambda _: 1 // 0
        finally:
            closed.append(True)

    with pytest.raises(ZeroDivisionError):
        carry_out(thread, verb())
    assert closed


@both
@pytest.mark.parametrize("timeout", [0.0, 0.02])
def test_who_waits_no_longer_is_told_so_and_leaves_nothing_behind(
    thread: StoreThread, carry_out: Way, timeout: float
) -> None:
    def verb() -> Verb[object]:
        return (yield end_of("t", timeout))

    assert carry_out(thread, verb()) is None
    asked(thread, lambda _: None)
    assert not thread._watched


@both
def test_what_was_there_before_the_wait_began_is_not_missed(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        yield Request(cancels=[CancelAsked("t", "enough")])
        return bool((yield end_of("t", 30)))

    assert carry_out(thread, verb())


@both
def test_what_the_caller_gave_is_called_in_the_thread_that_waits(thread: StoreThread, carry_out: Way) -> None:
    called = []

    def verb() -> Verb[str]:
        yield Tell(lambda what: called.append((what, threading.current_thread())), "news")
        return "done"

    assert carry_out(thread, verb()) == "done"
    assert called == [("news", threading.current_thread())]


@both
@pytest.mark.parametrize("error", [ZeroDivisionError, StopIteration, DulyError])
def test_what_it_raises_is_the_callers_and_the_verb_cannot_keep_it(
    thread: StoreThread, carry_out: Way, error: type[Exception]
) -> None:
    def raising(_: object) -> None:
        raise error

    def verb() -> Verb[str]:
        try:
            yield Tell(raising, None)
        except Exception:  # noqa: BLE001 - the test is that none comes here
            return "kept"
        return "not raised"

    with pytest.raises(RuntimeError if error is StopIteration else error):
        carry_out(thread, verb())


def test_what_is_async_is_awaited_in_a_loop_and_refused_elsewhere(thread: StoreThread) -> None:
    called = []

    async def reaction(what: str) -> None:
        await asyncio.sleep(0)
        called.append(what)

    def verb() -> Verb[None]:
        yield Tell(reaction, "news")

    with pytest.raises(OptionInvalid, match="aresult"):
        ask(thread, verb())
    assert called == []
    in_loop(thread, verb())
    assert called == ["news"]


@both
def test_without_a_timeout_it_waits_for_as_long_as_it_takes(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        return bool((yield end_of("t", None)))

    answers = []
    waiting = threading.Thread(target=lambda: answers.append(carry_out(thread, verb())))
    waiting.start()
    eventually(lambda: thread._watched)
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    waiting.join(30)
    assert answers == [True]


@both
def test_who_waits_while_the_store_is_closed_is_told(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        return bool((yield end_of("t", None)))

    raised = []

    def wait() -> None:
        try:
            carry_out(thread, verb())
        except StoreUnavailable as error:
            raised.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: thread._watched)
    thread.close()
    waiting.join(30)
    assert raised == ["this App was closed"]


async def cancelled_while_it_waits(thread: StoreThread, *, close: bool = False) -> bool:
    def verb() -> Verb[None]:
        yield end_of("t", None)

    task = asyncio.ensure_future(aask(thread, verb()))
    await asyncio.to_thread(eventually, lambda: thread._watched)
    if close:
        thread.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


def test_a_cancelled_await_leaves_nothing_behind(thread: StoreThread) -> None:
    assert asyncio.run(cancelled_while_it_waits(thread))
    asked(thread, lambda _: None)
    assert not thread._watched


def test_a_cancelled_await_is_cancelled_also_if_the_store_is_closed_meanwhile(thread: StoreThread) -> None:
    assert asyncio.run(cancelled_while_it_waits(thread, close=True))


def test_a_loop_that_ended_before_its_answer_came_troubles_nobody(thread: StoreThread) -> None:
    rest = threading.Event()

    def verb() -> Verb[None]:
        yield lambda _: rest.wait(30)

    async def impatient() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                await aask(thread, verb())

    asyncio.run(impatient())
    rest.set()
    assert asked(thread, lambda _: "still here") == "still here"


def test_an_interrupted_wait_leaves_nothing_behind(thread: StoreThread) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    def verb() -> Verb[None]:
        yield end_of("t", None)

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            ask(thread, verb())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    asked(thread, lambda _: None)
    assert not thread._watched


@both
def test_a_store_that_cannot_be_opened_is_the_verbs_to_deal_with(carry_out: Way) -> None:
    def verb() -> Verb[str]:
        try:
            yield end_of("t", None)
        except StoreUnavailable:
            return "nothing there"
        return "there"

    assert carry_out(StoreThread(lambda: SqliteStore("/nowhere/at/all"), DatagramBell, 60.0), verb()) == "nothing there"


def cancelling(number: int) -> Verb[int]:
    yield Request(cancels=[CancelAsked("t", str(number))])
    return number


def test_verbs_are_carried_out_in_order_each_made_while_the_one_before_is_under_way(thread: StoreThread) -> None:
    rest = threading.Event()
    thread.post(lambda _: rest.wait(30), lambda *_: None)
    made: list[int] = []

    def verbs() -> Iterator[Verb[int]]:
        for number in range(5):
            made.append(number)
            if number == 1:
                rest.set()  # the one before cannot be over yet
            yield cancelling(number)

    assert list(ask_each(thread, verbs())) == made == [0, 1, 2, 3, 4]


def test_when_no_more_verbs_can_be_made_those_under_way_are_over(thread: StoreThread) -> None:
    over: list[int] = []
    busy = threading.Event()

    def telling(number: int) -> Verb[int]:
        yield from cancelling(number)
        over.append(number)
        return number

    def verbs() -> Iterator[Verb[int]]:
        yield telling(0)
        thread.post(lambda _: busy.set() or threading.Event().wait(0.2), lambda *_: None)
        assert busy.wait(30)  # so the next cannot be over at once
        yield telling(1)
        raise LookupError

    with pytest.raises(LookupError):
        list(ask_each(thread, verbs()))
    assert over == [0, 1]


def test_of_several_verbs_the_first_that_fails_is_told(thread: StoreThread) -> None:
    def failing() -> Verb[int]:
        yield lambda store: store.glance([])[0]
        return 0

    with pytest.raises(IndexError):
        list(ask_each(thread, [cancelling(0), failing(), cancelling(2), cancelling(3)]))
    assert list(ask_each(thread, [])) == []


def test_answers_that_come_together_wake_a_loop_once(thread: StoreThread) -> None:
    async def main() -> tuple[list[int], int]:
        rest, wakes = threading.Event(), 0
        loop = asyncio.get_running_loop()
        plain = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            nonlocal wakes
            wakes += 1
            return plain(*arguments)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        thread.post(lambda _: rest.wait(30), lambda *_: None)
        tasks = [asyncio.ensure_future(aask(thread, cancelling(number))) for number in range(100)]
        await asyncio.sleep(0)
        answered = threading.Event()
        thread.post(lambda _: None, lambda *_: answered.set())
        rest.set()
        assert answered.wait(30)  # the loop stands still until the last of them has its answer
        return [await task for task in tasks], wakes

    answers, wakes = asyncio.run(main())
    assert answers == list(range(100))
    assert wakes == 1
