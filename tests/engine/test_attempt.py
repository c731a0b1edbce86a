from __future__ import annotations

import msgspec
import pytest

from duly.core.action import Policy
from duly.core.outcome import (
    Cancelled,
    Died,
    Failure,
    Interrupted,
    Invalid,
    Outcome,
    OutOfMemory,
    Raised,
    Snoozed,
    Success,
    TimedOut,
)
from duly.core.passport import Options
from duly.core.task import State
from duly.engine.attempt import (
    Attempt,
    began,
    change_of,
    note_of,
    outcome_of_answer,
    outcome_of_end,
    policy_of,
    said,
    work_of,
)
from duly.errors import ErrorData
from duly.wire.runner import Done, Said
from tests.engine.making import attempt

ERROR = ErrorData(type="ValueError", message="no")
SUCCESS = Done(1, 7, 10, "success", value="1")


@pytest.mark.parametrize(
    ("done", "outcome"),
    [
        (SUCCESS, Success("1")),
        (Done(1, 7, 10, "failure", value='{"code":3}', retry=False), Failure({"code": 3}, retry=False)),
        (Done(1, 7, 10, "failure"), Failure(None, retry=True)),
        (Done(1, 7, 10, "snooze", until=1_000), Snoozed(1_250)),
        (Done(1, 7, 10, "raised", error=ERROR), Raised(ERROR)),
        (Done(1, 7, 10, "missing", error=ERROR), Raised(ERROR)),
        (Done(1, 7, 10, "invalid", error=ERROR), Invalid(ERROR)),
        (Done(1, 7, 10, "memory", peak=99), OutOfMemory(99, None)),
        (Done(1, 7, 10, "stopped"), Interrupted("stopped")),
    ],
)
def test_an_answer_comes_to_the_outcome_it_names(done: Done, outcome: Outcome) -> None:
    assert outcome_of_answer(attempt(), done, 1_250) == outcome


def stopped_for(reason: str, *, verdict: int | None = None) -> Attempt:
    made = attempt(verdict=verdict)
    made.policy = Policy(timeout=3.0, memory=64)
    if reason == "memory":
        made.stop().measured(100)
    else:
        made.stop().ask(reason, 0.0)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("done", [SUCCESS, Done(1, 7, 10, "raised", error=ERROR), Done(1, 7, 10, "stopped")])
def test_a_limit_that_was_reached_decides_whatever_is_answered_later(done: Done) -> None:
    assert outcome_of_answer(stopped_for("timeout"), done, 0) == TimedOut(3.0)
    assert outcome_of_answer(stopped_for("memory"), done, 0) == OutOfMemory(100, 64)


@pytest.mark.parametrize("reason", ["cancel", "drain"])
def test_a_whole_answer_counts_also_if_the_attempt_was_asked_to_stop(reason: str) -> None:
    assert outcome_of_answer(stopped_for(reason), SUCCESS, 0) == Success("1")


def test_what_stopped_as_it_was_asked_is_interrupted_or_cancelled() -> None:
    stopped = Done(1, 7, 10, "stopped")
    assert outcome_of_answer(stopped_for("drain"), stopped, 0) == Interrupted("drain")
    assert outcome_of_answer(stopped_for("cancel", verdict=State.CANCELLED), stopped, 0) == Cancelled()


@pytest.mark.parametrize(
    ("made", "outcome"),
    [
        (attempt(), Died(9, None)),
        (stopped_for("timeout"), TimedOut(3.0)),
        (stopped_for("memory"), OutOfMemory(100, 64)),
        (stopped_for("drain"), Interrupted("drain")),
        (stopped_for("cancel", verdict=State.CANCELLED), Cancelled()),
    ],
)
def test_the_end_of_its_process_is_a_death_unless_it_was_being_stopped(made: Attempt, outcome: Outcome) -> None:
    made.stop()
    assert outcome_of_end(made, 9, None) == outcome


def test_a_submitter_replaces_the_time_limit_and_the_attempts_and_nothing_else() -> None:
    policy = Policy(timeout=5.0, grace=1.0, max_attempts=3)

    def said_of(options: Options) -> Policy:
        return policy_of(policy, msgspec.json.encode(options).decode())

    assert policy_of(policy, None) is policy
    assert said_of(Options(priority="high")) == policy
    assert said_of(Options(timeout=None)) == Policy(timeout=None, grace=1.0, max_attempts=3)
    assert said_of(Options(timeout=9.0, max_attempts=1)) == Policy(timeout=9.0, grace=1.0, max_attempts=1)


def test_a_runner_is_told_what_its_handler_may_ask_for() -> None:
    made = attempt(3, claim=8, attempt=2, payload="[1]", submitted=5, origin="me", options="{}", info='{"a":1}')
    made.policy = Policy(timeout=4.0, memory=1024)
    work = work_of(made)
    assert (work.key, work.claim, work.id, work.attempt, work.payload) == (3, 8, "task-3", 2, "[1]")
    assert (work.limit, work.memory, work.submitted, work.origin) == (4.0, 1024, 5, "me")
    assert (work.options, work.info) == ("{}", '{"a":1}')


def test_what_is_told_is_kept_in_order_until_it_is_sent_and_sent_once() -> None:
    made = attempt()
    began(made, 1.0, 100)
    said(made, Said(1, 7, "update", '{"data":1}'), 110)
    said(made, Said(1, 7, "info", '{"pages":3,"words":9}', "words"), 120)
    change = note_of(made)
    assert change.events == [("start", 100, None), ("update", 110, {"data": 1}), ("info", 120, {"words": 9})]
    assert (change.state, change.started_at, change.info) == (State.RUNNING, 100, '{"pages":3,"words":9}')

    last = change_of(made, Success("2"), 200, 0.5)
    assert (last.state, last.value, last.events) == (State.SUCCEEDED, "2", [("success", 200, None)])
    assert (last.started_at, last.info) == (None, None), "that is in the store already"


def test_what_was_not_sent_goes_with_the_outcome() -> None:
    made = attempt()
    began(made, 1.0, 100)
    made.output = b"caf\xc3\xa9 \xff"
    change = change_of(made, Raised(ERROR), 200, 0.5)
    assert [kind for kind, _, _ in change.events] == ["start", "retry"]
    assert change.started_at == 100
    assert change.events[1][2]["output"] == "café \ufffd", "the history keeps what it printed, readable"


def test_its_time_counts_from_when_its_code_began() -> None:
    made = attempt()
    made.policy = Policy(timeout=3.0, grace=1.0)
    assert made.stop().look(1e9)[0] is None
    began(made, 10.0, 0)
    assert made.stop().look(12.9)[0] is None
    assert made.stop().look(13.0)[0] == "ask"
