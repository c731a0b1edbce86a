from typing import get_args

import msgspec
import pytest

from duly.core.task import ENDED, WAITING, Cause, Change, Ending, EventKind, Guard, Held, State, shown


def test_the_numbers_of_the_states_are_those_that_queries_name():
    assert [state.name.lower() for state in State] == [
        "scheduled",
        "parked",
        "ready",
        "running",
        "succeeded",
        "failed",
        "cancelled",
        "expired",
    ]
    assert [state.value for state in State] == list(range(8))


def test_a_task_waits_runs_or_has_ended():
    assert {*WAITING, State.RUNNING, *ENDED} == set(State)
    assert len(WAITING) + 1 + len(ENDED) == len(State)
    assert min(ENDED) > max(*WAITING, State.RUNNING)


@pytest.mark.parametrize("state", State)
def test_a_state_is_shown_by_its_name(state):
    assert shown(state, None) == state.name.lower()


@pytest.mark.parametrize("state", [*WAITING, State.RUNNING])
def test_a_task_that_is_still_to_end_otherwise_is_shown_as_cancelling(state):
    assert shown(state, State.CANCELLED) == "cancelling"
    assert shown(state, State.FAILED) == "cancelling"


@pytest.mark.parametrize("state", ENDED)
def test_a_task_that_has_ended_is_shown_by_its_end_whatever_the_verdict_was(state):
    assert shown(state, State.CANCELLED) == state.name.lower()


def test_the_causes_and_kinds_of_events_are_those_of_the_contract():
    assert set(get_args(Cause)) == {
        "failure",
        "error",
        "timeout",
        "memory",
        "died",
        "invalid",
        "quarantined",
        "dropped",
        "start_timeout",
        "cancel",
        "expired",
    }
    assert set(get_args(EventKind)) == {
        "init",
        "start",
        "step",
        "update",
        "note",
        "info",
        "drop",
        "return",
        "success",
        "fail",
        "retry",
        "snooze",
        "interrupt",
        "bump",
        "rescue",
        "verdict",
        "rejected",
        "cancel",
        "release",
        "expire",
        "end",
    }


def test_a_claim_for_what_is_owed_is_cleanup():
    held = Held(1, 1, "id", 1, 1, 0, 1, verdict=State.CANCELLED, owed=("undo",))
    assert not held.cleaning
    assert msgspec.structs.replace(held, cleanup=1).cleaning


def test_claims_and_changes_are_arrays_in_a_fixed_order():
    held = Held(1, 2, "id", 3, 4, 5, 6, owed=("undo",))
    assert msgspec.json.decode(msgspec.json.encode(held), type=Held) == held
    change = Change(1, 2, 1, [("start", 9, None)], None, 9, None, State.RUNNING, Guard.ANY)
    assert msgspec.json.decode(msgspec.json.encode(change))[:9] == [1, 2, 1, [["start", 9, None]], None, 9, None, 3, 2]


def test_an_ending_keeps_only_what_there_is_to_say():
    assert msgspec.json.encode(Ending(kind="died", signal=9)) == b'{"kind":"died","signal":9}'
