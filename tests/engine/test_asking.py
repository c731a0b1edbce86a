from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import pytest

from duly.engine.asking import Changed, Ended, Verb, aask, ask, ask_each
from duly.engine.storethread import StoreThread
from duly.errors import StoreUnavailable
from duly.ports import CancelAsked, Request
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


def in_loop(thread: StoreThread, verb: Verb[T]) -> T:
    return asyncio.run(aask(thread, verb))


both = pytest.mark.parametrize("carry_out", [ask, in_loop])
Way = Callable[[StoreThread, Verb[Any]], Any]


@both
def test_a_verb_is_answered_step_by_step_and_returns_its_own_result(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[list[Any]]:
        found = yield lambda store: [row.id for row in store.find(["t"])]
        reply = yield Request(cancels=[CancelAsked("t", "enough")])
        ended = yield Ended("t", 30)
        return [found, reply.answers, ended]

    assert carry_out(thread, verb()) == [["t"], {"t": "cancelled"}, True]


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
    def verb() -> Verb[list[bool]]:
        ended = yield Ended("t", timeout)
        changed = yield Changed(thread.changes, timeout)
        return [ended, changed]

    assert carry_out(thread, verb()) == [False, False]
    asked(thread, lambda _: None)
    assert (thread._ending, thread._changing) == ({}, [])


@both
def test_a_change_before_the_wait_began_is_not_missed(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        yield Changed(thread.changes, 0.05)  # what came before is seen
        since = thread.changes
        yield Request(cancels=[CancelAsked("t", "enough")])
        return bool((yield Changed(since, 30)))

    assert carry_out(thread, verb())


@both
def test_without_a_timeout_it_waits_for_as_long_as_it_takes(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        return bool((yield Ended("t", None)))

    answers = []
    waiting = threading.Thread(target=lambda: answers.append(carry_out(thread, verb())))
    waiting.start()
    eventually(lambda: thread._ending)
    asked(thread, Request(cancels=[CancelAsked("t", "enough")]))
    waiting.join(30)
    assert answers == [True]


@both
def test_who_waits_while_the_store_is_closed_is_told(thread: StoreThread, carry_out: Way) -> None:
    def verb() -> Verb[bool]:
        return bool((yield Ended("t", None)))

    raised = []

    def wait() -> None:
        try:
            carry_out(thread, verb())
        except StoreUnavailable as error:
            raised.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    eventually(lambda: thread._ending)
    thread.close()
    waiting.join(30)
    assert raised == ["this App was closed"]


async def cancelled_while_it_waits(thread: StoreThread, *, close: bool = False) -> bool:
    def verb() -> Verb[None]:
        yield Ended("t", None)

    task = asyncio.ensure_future(aask(thread, verb()))
    await asyncio.to_thread(eventually, lambda: thread._ending)
    if close:
        thread.close()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return task.cancelled()


def test_a_cancelled_await_leaves_nothing_behind(thread: StoreThread) -> None:
    assert asyncio.run(cancelled_while_it_waits(thread))
    asked(thread, lambda _: None)
    assert thread._ending == {}


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
        yield Ended("t", None)

    old = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            ask(thread, verb())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    asked(thread, lambda _: None)
    assert thread._ending == {}


@both
def test_a_store_that_cannot_be_opened_is_the_verbs_to_deal_with(carry_out: Way) -> None:
    def verb() -> Verb[str]:
        try:
            yield Ended("t", None)
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

    def telling(number: int) -> Verb[int]:
        yield from cancelling(number)
        over.append(number)
        return number

    def verbs() -> Iterator[Verb[int]]:
        yield telling(0)
        yield telling(1)
        raise LookupError

    with pytest.raises(LookupError):
        list(ask_each(thread, verbs()))
    assert over == [0, 1]


def test_of_several_verbs_the_first_that_fails_is_told(thread: StoreThread) -> None:
    def failing() -> Verb[int]:
        yield lambda store: store.ended([])[0]
        return 0

    with pytest.raises(IndexError):
        list(ask_each(thread, [cancelling(0), failing(), cancelling(2), cancelling(3)]))
    assert list(ask_each(thread, [])) == []
