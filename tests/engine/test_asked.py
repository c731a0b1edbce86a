"""The supervisor's end of what handlers ask: with a store's thread and a runner's line, but no process."""

from __future__ import annotations

import select
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import msgspec
import pytest

from duly.core.outcome import Failure, Invalid, Success
from duly.core.passport import Options, Passport
from duly.engine import inside as insides
from duly.engine.inside import Inside
from duly.engine.storethread import StoreThread
from duly.runner.channel import Channel
from duly.runner.pool import Runner
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from duly.wire.runner import Answered, Ask, decode_answered, encode
from tests.engine import making
from tests.engine.making import SECONDS, asked, lane_of, submission
from tests.engine.test_storethread import submit

MOST = 1024


class Supervisor:
    """A node's part in it: its loop is `turn`."""

    def __init__(self, path: Path) -> None:
        self.thread = StoreThread(lambda: SqliteStore(f"{path}/tasks.db"), DatagramBell, 60)
        self.inbox: SimpleQueue[Any] = SimpleQueue()
        self.inside = Inside(self.thread, self.inbox.put, [], MOST)
        self.epoll = select.epoll()
        self.runner = Runner(1, MOST, self.epoll, capture=True)
        assert self.runner.answers is not None
        self._line = Channel(self.runner.answers.theirs, 1 << 30)
        self._numbers = 0

    def ask(self, verb: str, *arguments: Any, key: int = 7) -> int:
        self._numbers += 1
        self.inside.hear(self.runner, Ask(key, 1, self._numbers, verb, encode(arguments)))
        return self._numbers

    def turn(self) -> None:
        self.inbox.get(timeout=SECONDS)()

    def answer(self) -> Answered:
        return decode_answered(self._line.receive())

    def silent(self) -> bool:
        poll = select.poll()
        poll.register(self._line, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        self.thread.close()
        self.runner.close()
        self.epoll.close()


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(tmp_path)
    yield supervisor
    supervisor.close()


def passport(task_id: str, action: str = "a:b", **fields: Any) -> Passport:
    return Passport(id=task_id, action=action, version=1, payload_json="1", **fields)


def test_an_answer_follows_the_commit(supervisor: Supervisor) -> None:
    number = supervisor.ask("submit", [passport("x")])
    supervisor.turn()
    answered = supervisor.answer()
    assert (answered.number, msgspec.msgpack.decode(answered.body)) == (number, {"x": "ready"})
    assert [row.id for row in asked(supervisor.thread, lambda store: store.find(["x"]))] == ["x"]


def test_a_store_that_is_lost_is_told_as_what_it_is(supervisor: Supervisor) -> None:
    supervisor.ask("find", "x")
    supervisor.turn()
    assert supervisor.answer().refused is not None
    supervisor.thread.close()
    for verb, argument in (("find", "x"), ("submit", [passport("x")]), ("watch", {"x": 0})):
        supervisor.ask(verb, argument)
        while supervisor.silent():
            supervisor.turn()
        refused = supervisor.answer().refused
        assert refused is not None
        assert refused.code == "store_unavailable"


def test_who_waits_when_the_store_is_closed_is_told(supervisor: Supervisor) -> None:
    asked(supervisor.thread, lane_of)
    asked(supervisor.thread, submit(submission("x")))
    supervisor.ask("watch", {"x": 99})
    asked(supervisor.thread, lambda _: None)
    assert supervisor.inside.waits(1)
    supervisor.thread.close()
    supervisor.turn()
    refused = supervisor.answer().refused
    assert refused is not None
    assert refused.code == "store_unavailable"
    assert not supervisor.inside.waits(1)


@pytest.mark.parametrize("ending", ["forget", "over", "gone"])
def test_a_wait_that_nobody_needs_any_more_is_given_up(supervisor: Supervisor, ending: str) -> None:
    asked(supervisor.thread, lane_of)
    asked(supervisor.thread, submit(submission("x")))
    number = supervisor.ask("watch", {"x": 99})
    asked(supervisor.thread, lambda _: None)
    assert supervisor.thread._watched
    if ending == "forget":
        supervisor.inside.hear(supervisor.runner, Ask(7, 1, number, "forget", b""))
    elif ending == "over":
        supervisor.inside.over(1, 6, 1)
        assert supervisor.inside.waits(1), "that was another attempt"
        supervisor.inside.over(1, 7, 1)
    else:
        supervisor.inside.gone(1)
    asked(supervisor.thread, lambda _: None)
    assert not supervisor.thread._watched
    assert not supervisor.inside.waits(1)


def test_what_was_asked_by_a_runner_that_is_gone_is_answered_to_nobody(supervisor: Supervisor) -> None:
    supervisor.ask("find", "x")
    supervisor.inside.gone(1)
    supervisor.turn()
    assert supervisor.silent()


def test_who_asks_for_too_much_at_once_is_told_to_wait(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insides, "MOST_ASKED", 4 * 1024)
    asked(supervisor.thread, lane_of)
    for _ in range(7):
        supervisor.ask("watch", {"x" * 40: 0})
    assert supervisor.silent()
    supervisor.ask("find", "x" * 1000)
    refused = supervisor.answer().refused
    assert refused is not None
    assert refused.code == "store_busy"


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (passport("x", "never:heard"), "never:heard"),
        (passport("x", "no name"), "no name"),
        (passport("x", options=Options(queue="other")), "other"),
        (passport("x", options=Options(run_at=1 << 62)), "moment"),
        (passport("x", options=Options(priority="huge")), "huge"),  # type: ignore[arg-type]
        (msgspec.structs.replace(passport("x"), payload_json="x" * 2000), "1,024 bytes"),
    ],
)
def test_a_child_that_no_honest_runner_sends_makes_its_parent_invalid(
    supervisor: Supervisor, child: Passport, words: str
) -> None:
    supervisor.ask("declared", "a:b", None, None)
    supervisor.turn()
    attempt = making.attempt()
    outcome = supervisor.inside.adopt(attempt, [passport("y"), child], Success("1"))
    assert isinstance(outcome, Invalid)
    assert words in outcome.error.message
    assert not attempt.children


def test_only_a_success_has_children(supervisor: Supervisor) -> None:
    supervisor.ask("declared", "a:b", None, None)
    supervisor.turn()
    attempt = making.attempt()
    assert supervisor.inside.adopt(attempt, [passport("x")], Failure("no")) == Failure("no")
    assert not attempt.children
    assert supervisor.inside.adopt(attempt, [passport("x")], Success("1")) == Success("1")
    assert [child.id for child in attempt.children] == ["x"]
