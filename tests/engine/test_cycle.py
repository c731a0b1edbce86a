"""Changes gather, are folded, sent and answered; against a real store, with another holder where one is needed."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from duly.core.action import Policy
from duly.core.estimate import RunTime
from duly.core.outcome import Interrupted, Raised, Success
from duly.core.task import State
from duly.engine.attempt import Attempt, began, said
from duly.engine.cycle import Cycle
from duly.errors import ErrorData
from duly.ports import Reply, Request, Want
from duly.store.sqlite.store import SqliteStore
from duly.wire.runner import Said
from tests.engine.making import cancelled, kinds, lane_of, submission

NOW = 1_000_000_000


class Side:
    """A node's side of the exchange."""

    def __init__(self, store: SqliteStore, lane: int) -> None:
        self.store = store
        self.lane = lane
        self.let_go: list[Attempt] = []
        self.cycle = Cycle(store.enlist("node", "", ""), lambda: NOW + 9, self.let_go.append)

    def claim(self, task_id: str = "t", bell: str = "") -> Attempt:
        self.store.exchange(Request(submits=[submission(task_id, self.lane, bell=bell)]))
        (held,) = self.exchange(Want([self.lane], 1)).claims
        return Attempt(held, 0, Policy(), RunTime())

    def exchange(self, *wants: Want) -> Reply:
        reply = self.store.exchange(self.cycle.request(list(wants)))
        self.cycle.answered(reply)
        return reply

    def lose(self, attempt: Attempt) -> None:
        """Take the task for dead and give it to another."""
        from duly.core import lifecycle

        change = lifecycle.rescue(attempt.held, attempt.policy, NOW, 0.5)
        self.store.exchange(Request(changes=[change]))
        other = self.store.enlist("other", "", "")
        reply = self.store.exchange(Request(node=other, number=1, wants=[Want([self.lane], 1)]))
        assert [held.id for held in reply.claims] == [attempt.held.id]


@pytest.fixture
def side() -> Iterator[Side]:
    store = SqliteStore(":memory:", clock=lambda: NOW)
    store.open()
    yield Side(store, lane_of(store))
    store.close()


def test_several_notes_of_an_attempt_are_one_change_in_their_order(side: Side) -> None:
    attempt = side.claim()
    began(attempt, 0.0, NOW)
    for number in range(3):
        said(attempt, Said(attempt.held.key, attempt.held.claim, "update", f'{{"data":{number}}}'), NOW + number)
        side.cycle.note(attempt)
    request = side.cycle.request([])
    assert [len(change.events) for change in request.changes] == [4]
    side.cycle.answered(side.store.exchange(request))
    assert kinds(side.store, "t") == ["start", "update", "update", "update"]


def test_notes_and_the_outcome_are_one_change(side: Side) -> None:
    attempt = side.claim()
    began(attempt, 0.0, NOW)
    side.cycle.note(attempt)
    side.cycle.finish(attempt, Success("1"))
    assert len(side.cycle.request([]).changes) == 1
    side.cycle.answered(side.store.exchange(side.cycle.again()))
    assert kinds(side.store, "t") == ["start", "success"]


def test_what_is_said_while_an_exchange_is_under_way_goes_with_the_next(side: Side) -> None:
    first, second = side.claim("a"), side.claim("b")
    side.cycle.finish(first, Success("1"))
    request = side.cycle.request([])
    side.cycle.finish(second, Success("2"))
    assert side.cycle.under_way
    assert side.cycle.anything()
    side.cycle.answered(side.store.exchange(request))
    assert not side.cycle.under_way
    assert [change.key for change in side.cycle.request([]).changes] == [second.held.key]


def test_a_request_takes_all_there_is_and_leaves_nothing(side: Side) -> None:
    attempt = side.claim()
    assert not side.cycle.anything()
    side.cycle.finish(attempt, Success("1"))
    assert side.cycle.anything()
    side.exchange()
    assert not side.cycle.anything()
    assert side.cycle.request([]).empty()


def test_what_could_not_be_carried_out_is_sent_once_more_as_it_was(side: Side) -> None:
    attempt = side.claim()
    side.cycle.finish(attempt, Success("1"))
    sent = side.cycle.request([Want([side.lane], 1)])
    again = side.cycle.again()
    assert again is sent
    assert side.cycle.under_way
    side.cycle.answered(side.store.exchange(again))
    assert side.store.find(["t"])[0].state == State.SUCCEEDED


def test_exchanges_that_wrote_are_counted_and_those_that_wrote_nothing_are_not(side: Side) -> None:
    numbers = []
    for _ in range(2):
        numbers.append(side.cycle.request([Want([side.lane], 1)]).number)
        side.cycle.answered(side.store.exchange(side.cycle.again()))
    attempt = side.claim()
    side.cycle.finish(attempt, Success("1"))
    numbers.append(side.cycle.request([]).number)
    side.cycle.answered(side.store.exchange(side.cycle.again()))
    numbers.append(side.cycle.request([]).number)
    assert numbers == [1, 1, 2, 3]


def test_an_exchange_that_happened_is_not_done_twice(side: Side) -> None:
    attempt = side.claim()
    side.cycle.finish(attempt, Success("1"))
    request = side.cycle.request([])
    assert side.store.exchange(request).done
    side.store.exchange(request)
    assert kinds(side.store, "t") == ["success"]


@pytest.mark.parametrize("last", [False, True])
def test_who_waits_is_rung_for_an_end_and_for_nothing_less(side: Side, last: bool) -> None:
    attempt = side.claim(bell="waiter")
    side.cycle.finish(attempt, Success("1") if last else Raised(ErrorData(type="E", message="")))
    assert side.cycle.request([]).ring == ({"waiter"} if last else set())


def test_a_suspect_that_proved_itself_is_cleared(side: Side) -> None:
    attempt = side.claim()
    side.cycle.note(attempt, cleared=True)
    side.cycle.note(attempt)
    (change,) = side.cycle.request([]).changes
    assert change.suspect == 0
    side.cycle.answered(side.store.exchange(side.cycle.again()))
    side.cycle.note(attempt)
    assert side.cycle.request([]).changes[0].suspect is None


# misses


def test_a_late_answer_is_let_go_of_and_kept_in_the_history_alone(side: Side) -> None:
    attempt = side.claim()
    side.lose(attempt)
    side.cycle.finish(attempt, Success("1"))
    side.exchange()
    assert side.let_go == [attempt]
    assert side.cycle.anything(), "that it was rejected is still to be said"
    side.exchange()
    row = side.store.find(["t"])[0]
    assert (row.state, row.value) == (State.RUNNING, None), "the other's attempt goes on"
    assert kinds(side.store, "t") == ["rescue", "rejected"]
    assert not side.cycle.anything()


def test_a_late_note_is_let_go_of_without_a_word(side: Side) -> None:
    attempt = side.claim()
    side.lose(attempt)
    began(attempt, 0.0, NOW)
    side.cycle.note(attempt)
    side.exchange()
    assert side.let_go == [attempt]
    assert not side.cycle.anything()
    assert kinds(side.store, "t") == ["rescue"]


def test_what_is_handed_back_under_a_verdict_ends_by_it(side: Side) -> None:
    attempt = side.claim()
    cancelled(side.store, "t")
    side.cycle.hand_back(attempt)
    side.exchange()
    assert side.cycle.anything(), "the verdict was not known: it is decided again"
    side.exchange()
    row = side.store.find(["t"])[0]
    assert (row.state, row.attempt) == (State.CANCELLED, 0)
    assert not side.let_go


def test_an_interruption_that_meets_a_verdict_ends_the_task_and_does_not_start_it_anew(side: Side) -> None:
    attempt = side.claim()
    cancelled(side.store, "t")
    side.cycle.finish(attempt, Interrupted("drain"))
    side.exchange()
    side.exchange()
    assert side.store.find(["t"])[0].state == State.CANCELLED


def test_a_note_goes_through_under_a_verdict(side: Side) -> None:
    attempt = side.claim()
    cancelled(side.store, "t")
    began(attempt, 0.0, NOW)
    side.cycle.note(attempt)
    assert not side.exchange().misses
    assert kinds(side.store, "t") == ["verdict", "start"]


def test_misses_touch_only_those_they_are_about(side: Side) -> None:
    lost = side.claim("lost")
    side.lose(lost)
    kept = side.claim("kept")
    side.cycle.finish(lost, Success("1"))
    side.cycle.finish(kept, Success("2"))
    side.exchange()
    assert side.let_go == [lost]
    assert side.store.find(["kept"])[0].value == "2"


def test_only_progress_can_wait_a_moment(side: Side) -> None:
    attempt = side.claim()
    side.cycle.note(attempt)
    assert side.cycle.patient()
    side.exchange()
    attempt.held = msgspec.structs.replace(attempt.held, suspect=1)
    side.cycle.note(attempt)
    assert not side.cycle.patient(), "its beginning is committed before it runs"
    side.exchange()
    assert side.cycle.patient()
    side.cycle.finish(attempt, Success("1"))
    assert not side.cycle.patient()
