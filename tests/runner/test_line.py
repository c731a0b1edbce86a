"""The line from a handler to its supervisor, with both its ends in this process."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from queue import SimpleQueue
from typing import Any

import pytest

import duly
from duly.errors import DulyError, NotAvailable, PayloadInvalid, RetryRefused, StoreUnavailable, TaskNotFound
from duly.runner import line as lines
from duly.runner.channel import Channel, pair
from duly.runner.context import HERE, Task, asker
from duly.runner.line import Answers, Line
from duly.wire.runner import Answered, Ask, Question, Refused, Target, Work, decode_from_runner
from tests.helpers import no_descriptors

SECONDS = 10
MOST = 1000


class Ends:
    """A line, its supervisor's end, and the channel that questions come by."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.answers = Answers(self.epoll)
        theirs, ours = pair()
        self._theirs = theirs
        self.asked = Channel(ours, 1 << 20)
        self._end = lines.line_end(os.dup(self.answers.theirs.fileno()))
        self.answers.passed_on()
        self.line = Line(Channel(theirs, 0), self._end, MOST, lambda: (7, 1), lambda *_: None)
        self.told: SimpleQueue[Any] = SimpleQueue()

    def ask(self, body: bytes = b"") -> Ask:
        """Ask, and return what arrives."""
        self.line.post(Question("find", body), lambda body, error: self.told.put(error or body))
        ask = decode_from_runner(self.asked.receive())
        assert isinstance(ask, Ask)
        return ask

    def close(self) -> None:
        self.answers.close()
        self._theirs.close()
        self.asked.close()
        self.epoll.close()
        while not self.line._over and self.line._begun.locked():
            pass
        self._end.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    ends = Ends()
    yield ends
    ends.close()


def test_answers_come_in_any_order_to_who_asked(ends: Ends) -> None:
    asks = [ends.ask(bytes([n])) for n in range(5)]
    assert [(ask.key, ask.claim, ask.verb) for ask in asks] == [(7, 1, "find")] * 5
    for ask in reversed(asks):
        ends.answers.send(Answered(ask.number, ask.body))
    assert [ends.told.get(timeout=SECONDS) for _ in asks] == [bytes([n]) for n in reversed(range(5))]


def test_what_is_answered_twice_or_was_never_asked_is_nobodys(ends: Ends) -> None:
    ask = ends.ask()
    for number in (ask.number + 1, ask.number, ask.number):
        ends.answers.send(Answered(number, b"x"))
    assert ends.told.get(timeout=SECONDS) == b"x"
    ends.answers.send(Answered(ends.ask().number, b"y"))
    assert ends.told.get(timeout=SECONDS) == b"y"
    assert ends.told.empty()


def test_more_answers_than_the_socket_holds_are_sent_when_there_is_room(ends: Ends) -> None:
    asks = [ends.ask() for _ in range(20)]
    stopped = threading.Event()
    ends.line.post(Question("find", b""), lambda *_: stopped.wait(SECONDS))  # the reader is kept busy
    blocking = decode_from_runner(ends.asked.receive())
    assert isinstance(blocking, Ask)
    ends.answers.send(Answered(blocking.number))
    large = os.urandom(60_000)
    for ask in asks:
        assert ends.answers.send(Answered(ask.number, large))
    stopped.set()
    while ends.answers._unsent:
        assert ends.epoll.poll(SECONDS), "told when there is room"
        ends.answers.flush()
    assert [ends.told.get(timeout=SECONDS) for _ in asks] == [large] * 20
    assert not ends.epoll.poll(0), "nothing is left to send"


def test_who_reads_nothing_is_given_up(ends: Ends) -> None:
    answered = Answered(1, bytes(1 << 20))
    sent = 0
    while ends.answers.send(answered):
        sent += 1
        assert sent < 1000
    assert sent * len(answered.body) >= lines.MOST_UNSENT


def test_large_answers_come_whole(ends: Ends) -> None:
    large = os.urandom(1_000_000)
    ends.answers.send(Answered(ends.ask().number, large))
    assert ends.told.get(timeout=SECONDS) == large


def test_questions_are_bounded(ends: Ends) -> None:
    with pytest.raises(PayloadInvalid, match="at once"):
        ends.line.post(Question("find", bytes(3 * MOST)), lambda *_: None)


def test_the_end_of_the_supervisor_is_told_to_all_who_wait_and_who_ask_later(ends: Ends) -> None:
    for _ in range(3):
        ends.ask()
    ends.answers.close()
    assert [type(ends.told.get(timeout=SECONDS)) for _ in range(3)] == [StoreUnavailable] * 3
    ends.ask()
    assert isinstance(ends.told.get(timeout=SECONDS), StoreUnavailable)
    ends.asked.close()
    with pytest.raises(StoreUnavailable, match="cannot be asked"):
        ends.line.post(Question("find", b""), lambda *_: None)


def test_who_reads_answers_is_no_thread_of_the_users(ends: Ends) -> None:
    before = threading.active_count()
    ends.answers.send(Answered(ends.ask().number))
    ends.told.get(timeout=SECONDS)
    assert threading.active_count() == before


def test_a_signals_handler_that_raises_gets_who_waits_out(ends: Ends) -> None:
    class Stopped(BaseException):
        pass

    def stop(*_: object) -> None:
        raise Stopped

    old = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(Stopped):
            ends.line.declared("a:b", None, None)
    finally:
        signal.signal(signal.SIGUSR1, old)


def test_how_an_action_is_declared_is_asked_once(ends: Ends) -> None:
    def answer() -> None:
        ask = decode_from_runner(ends.asked.receive())
        assert isinstance(ask, Ask)
        ends.answers.send(Answered(ask.number, lines.encode((3, "slow", "low"))))

    thread = threading.Thread(target=answer)
    thread.start()
    assert ends.line.declared("a:b", None, None) == (3, "slow", "low")
    assert ends.line.declared("a:b", None, None) == (3, "slow", "low")
    thread.join()


@pytest.mark.parametrize(
    "error",
    [
        TaskNotFound("there is no task x"),
        RetryRefused("task x runs", task_id="x", state="running"),
        PayloadInvalid("a set is not JSON", "$.a"),
        DulyError("anything"),
    ],
    ids=repr,
)
def test_an_error_of_dulys_is_the_same_at_the_other_end(error: DulyError) -> None:
    again = Refused.of(error).error()
    assert (type(again), str(again), again.code, vars(again)) == (type(error), str(error), error.code, vars(error))


def test_another_error_is_told_by_name_and_no_class_is_made_of_it() -> None:
    assert type(Refused.of(OverflowError("too big")).error()) is DulyError
    assert str(Refused.of(OverflowError("too big")).error()) == "OverflowError: too big"
    assert type(Refused("os.system", "x").error()) is DulyError


def test_only_who_works_on_a_task_that_goes_on_may_ask() -> None:
    with pytest.raises(NotAvailable, match="no task runs here"):
        asker()
    task = Task(Work(7, 1, 0), Target(), 0, lambda *_: "", lambda _: None, lambda *_: lambda: None)
    HERE.task = task
    try:
        assert asker() == (7, 1)
        task._end()
        with pytest.raises(NotAvailable, match="outlives its task"):
            asker()
        with pytest.raises(NotAvailable, match="while its handler runs"):
            task.submit("a:b")
    finally:
        HERE.task = None


def test_what_is_performed_has_nobody_to_submit_by(tmp_path: Any) -> None:
    (tmp_path / "program.py").write_text(
        "import duly\napp = duly.App('sqlite:///x.db')\n"
        "def task(how):\n"
        "    return app.submit('a:b').id if how == 'app' else duly.current().submit('a:b').id\n"
    )
    for how in ("app", "task"):
        with pytest.raises(duly.TaskFailed) as caught:
            duly.perform(f"{tmp_path}/program.py", how)
        assert caught.value.error is not None
        assert caught.value.error.code == "not_available"


def test_it_can_be_asked_by_coroutines(ends: Ends) -> None:
    async def asking() -> list[bytes]:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(10)]
        for future in futures:

            def done(body: Any, _error: object, future: asyncio.Future[Any] = future) -> None:
                loop.call_soon_threadsafe(future.set_result, body)

            ends.line.post(Question("find", b""), done)
        for number in range(10):
            ask = decode_from_runner(ends.asked.receive())
            assert isinstance(ask, Ask)
            ends.answers.send(Answered(ask.number, bytes([number])))
        return await asyncio.gather(*futures)

    assert asyncio.run(asking()) == [bytes([n]) for n in range(10)]


def test_who_has_no_descriptor_for_a_large_answer_is_told_so_and_asks_on(ends: Ends) -> None:
    for short in (True, False):
        ask = ends.ask()
        with no_descriptors() if short else nullcontext():
            assert ends.answers.send(Answered(ask.number, b"x" * 100_000))
            told = ends.told.get(timeout=SECONDS)
        assert isinstance(told, StoreUnavailable) if short else told == b"x" * 100_000


def test_a_question_that_is_too_large_for_what_is_left_is_told_as_such(ends: Ends) -> None:
    with no_descriptors():
        ask = ends.ask(b"x" * 2 * MOST)
        assert ask.verb == "find", "this small one needs none"
    ends.line.most = 100_000
    with no_descriptors():
        ask = ends.ask(b"x" * 100_000)
    assert (ask.verb, ask.body) == ("unheard", b"")
