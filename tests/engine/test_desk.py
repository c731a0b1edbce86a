from __future__ import annotations

from collections.abc import Iterator

import pytest

from duly.core.passport import Options, Passport
from duly.core.task import State
from duly.engine.asking import ask
from duly.engine.desk import _REFUSED, Desk, batches, decoded
from duly.engine.storethread import StoreThread
from duly.errors import OptionInvalid, RetryRefused, TaskNotFound, WaitTimeout
from duly.ports import Filter, Request, Want
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import asked


@pytest.fixture
def thread() -> Iterator[StoreThread]:
    thread = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 60.0)
    yield thread
    thread.close()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def passport(task_id: str = "t", queue: str = "default", **options: object) -> Passport:
    return Passport(
        id=task_id, action="mail:send", version=1, payload_json='{"a":1}', options=Options(queue=queue, **options)
    )  # type: ignore[arg-type]


def test_a_task_is_created_once_however_often_it_is_submitted(thread: StoreThread, desk: Desk) -> None:
    assert ask(thread, desk.submit([passport()], "")) == {"t": "ready"}
    assert ask(thread, desk.cancel("t", "enough", None)) == "cancelled"
    assert ask(thread, desk.submit([passport()], "")) == {"t": "cancelled"}, "the state it is in, not that of a new one"
    assert len(ask(thread, desk.page(Filter(), "newest", None, 9))) == 1


def test_a_task_given_twice_at_once_is_one(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport("a"), passport("b"), passport("a")], ""))
    assert [row.id for row in ask(thread, desk.page(Filter(), "newest", None, 9))] == ["b", "a"]


def test_lanes_are_asked_for_once_and_only_those_that_are_new(thread: StoreThread, desk: Desk) -> None:
    first = desk.submit([passport("a"), passport("b", "slow")], "")
    assert callable(next(first)), "it does not know the lanes yet"
    first.close()
    ask(thread, desk.submit([passport("a"), passport("b", "slow")], ""))
    assert isinstance(next(desk.submit([passport("c"), passport("d", "slow")], "")), Request)
    assert callable(next(desk.submit([passport("c", "other")], "")))


def test_what_a_submitter_said_is_stored_and_nothing_of_what_was_not_said(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport("plain"), passport("special", priority="high", run_at=2**50)], "bell"))
    rows = {row.id: row for row in asked(thread, lambda store: store.find(["plain", "special"]))}
    assert (rows["plain"].options, rows["plain"].state, rows["plain"].band) == (None, State.READY, 1)
    assert (rows["special"].state, rows["special"].band, rows["special"].run_at) == (State.SCHEDULED, 0, 2**50)
    assert rows["special"].options is not None


def test_what_is_put_in_front_is_claimed_first(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport("a"), passport("b"), passport("first", front=True)], ""))
    node = asked(thread, lambda store: store.enlist("n", "", ""))
    (lane,) = asked(thread, lambda store: store.lanes())
    reply = asked(thread, Request(node=node, number=1, wants=[Want([lane.number], 3)]))
    assert [held.id for held in reply.claims] == ["first", "a", "b"]


@pytest.mark.parametrize("what", ["find", "wait", "cancel"])
def test_an_unknown_id_is_not_found(thread: StoreThread, desk: Desk, what: str) -> None:
    verbs = {"find": desk.find("x"), "wait": desk.wait("x", None), "cancel": desk.cancel("x", "", None)}
    with pytest.raises(TaskNotFound, match="there is no task x"):
        ask(thread, verbs[what])


def test_what_has_ended_is_not_waited_for(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport()], ""))
    assert ask(thread, desk.cancel("t", "enough", None)) == "cancelled"
    assert ask(thread, desk.wait("t", 0)).state == State.CANCELLED
    assert ask(thread, desk.cancel("t", "again", None)) == "ended"
    assert ask(thread, desk.find("t")).reason == "enough", "the first reason stays"


def test_a_wait_that_is_over_says_that_the_task_goes_on(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport()], ""))
    with pytest.raises(WaitTimeout, match=r"task t had not ended after 0\.01 s; it goes on"):
        ask(thread, desk.wait("t", 0.01))


def test_a_cancel_can_wait_until_what_runs_has_ended(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport()], ""))
    node = asked(thread, lambda store: store.enlist("n", "", ""))
    (lane,) = asked(thread, lambda store: store.lanes())
    asked(thread, Request(node=node, number=1, wants=[Want([lane.number], 1)]))
    with pytest.raises(WaitTimeout):
        ask(thread, desk.cancel("t", "enough", 0.01))
    assert ask(thread, desk.cancel("t", "enough", None)) == "asked"


@pytest.mark.parametrize(("items", "lists"), [(0, []), (4, [4]), (5, [4, 1]), (8, [4, 4])])
def test_many_are_divided_into_lists_none_of_which_is_empty(
    items: int, lists: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.desk.MOST_SUBMITS", 4)
    assert [len(batch) for batch in batches(passport(str(number)) for number in range(items))] == lists


def test_no_list_is_much_longer_than_a_transaction_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duly.engine.desk.MOST_TEXT", 20)
    assert [len(batch) for batch in batches(passport(str(number)) for number in range(10))] == [3, 3, 3, 1]


@pytest.mark.parametrize("bad", [None, "mail:send", object()])
def test_what_comes_before_no_passport_is_divided_all_the_same(bad: object) -> None:
    rest = batches([passport("a"), passport("b"), bad, passport("c")])  # type: ignore[list-item]
    assert [one.id for one in next(rest)] == ["a", "b"]
    with pytest.raises(OptionInvalid, match=r"passports are wanted.* 2 came, and were stored, before"):
        next(rest)


def test_text_from_the_store_is_decoded_and_nothing_is_nothing() -> None:
    assert decoded(None) is None
    assert decoded("null") is None
    assert decoded('{"a":[1]}') == {"a": [1]}


def test_a_retry_that_is_refused_says_why_and_what_to_do(thread: StoreThread, desk: Desk) -> None:
    ask(thread, desk.submit([passport()], ""))
    for state, cure in (("ready", "as soon as a worker is free"), ("cancelled", "submit a new task")):
        with pytest.raises(RetryRefused, match=cure) as caught:
            ask(thread, desk.retry("t"))
        assert (caught.value.task_id, caught.value.state) == ("t", state)
        ask(thread, desk.cancel("t", "enough", None))
    with pytest.raises(TaskNotFound):
        ask(thread, desk.retry("unknown"))


def test_whatever_state_refuses_a_retry_there_is_a_word_for_it() -> None:
    refused = {state.name.lower() for state in State} - {"scheduled", "parked", "failed"} | {"cancelling"}
    assert set(_REFUSED) == refused
