"""What a store owes to whoever cancels a task: the answer is true, and final."""

from __future__ import annotations

import msgspec

from duly.core import lifecycle
from duly.core.lifecycle import CANCEL
from duly.core.task import Change, Guard, Held, State
from duly.ports import CancelAsked, Request
from duly.testing.store_hands import Check, Hands, ended

# cancelling --------------------------------------------------------------------------------------------------------


def a_waiting_task_is_cancelled_at_once(hands: Hands) -> None:
    """Whether scheduled, parked or ready: it ends, and is never claimed."""
    for state in (State.SCHEDULED, State.PARKED, State.READY):
        task_id = hands.submit(state=state, run_at=1 if state is State.SCHEDULED else None)
        assert hands.cancel(task_id, "why ☂") == "cancelled", f"cancelling what is {state.name}"
        row = hands.row(task_id)
        assert (row.state, row.cause, row.reason) == (State.CANCELLED, "cancel", "why ☂"), row
        assert row.ended_at is not None, "a cancelled task has no end"
        assert hands.told(task_id) == ["cancel"], "a cancel is not in the history"
        assert hands.cancel(task_id) == "ended", "cancelling again"
    assert hands.claim() == [], "a cancelled task was claimed"


def a_running_task_is_asked_to_end(hands: Hands) -> None:
    """Its holder learns of it, success misses from then on, and the task ends as cancelled."""
    task_id = hands.submit()
    held = hands.claim_one()
    assert (hands.cancel(task_id, "why"), hands.cancel(task_id, "again")) == ("asked", "asked")
    asked = hands.exchange().asked
    assert [tuple(ask) for ask in asked] == [(held.key, held.claim, State.CANCELLED, "why")], asked
    (miss,) = hands.finish(held).misses
    assert (miss.state, miss.claim_now, miss.verdict) == (State.RUNNING, held.claim, State.CANCELLED), miss
    judged = msgspec.structs.replace(held, verdict=State.CANCELLED)
    assert hands.finish(judged).misses == [], "the end under a verdict misses"
    row = hands.row(task_id)
    assert (row.state, row.value, row.reason) == (State.CANCELLED, None, "why"), row
    assert hands.told(task_id) == ["verdict", "rejected", "cancel"], hands.told(task_id)
    assert hands.exchange().asked == [], "who has ended is still asked"


def one_cancel_among_others_is_answered_as_if_alone(hands: Hands) -> None:
    """What was cancelled before keeps its reason, and its history is not written twice."""
    running, ended_id = hands.submit(), hands.submit()
    held = {held.id: held for held in hands.claim()}
    hands.finish(held[ended_id])
    waiting = hands.submit()
    hands.cancel(running, "first")
    cancels = [CancelAsked(task_id, "second") for task_id in (running, ended_id, waiting, "unknown")]
    answers = hands.store.exchange(Request(cancels=cancels)).cancelled
    assert answers == {running: "asked", ended_id: "ended", waiting: "cancelled"}, answers
    assert [hands.row(task_id).reason for task_id in (running, ended_id, waiting)] == ["first", None, "second"]
    told = [hands.told(task_id) for task_id in (running, ended_id, waiting)]
    assert told == [["verdict"], ["success"], ["cancel"]], told


def a_verdict_is_needed_where_one_is_claimed(hands: Hands) -> None:
    """A change that supposes a verdict misses without one."""
    hands.submit()
    held = hands.claim_one()
    supposed = ended(msgspec.structs.replace(held, verdict=State.CANCELLED))
    assert len(hands.change(supposed).misses) == 1, "a verdict was supposed where there is none"
    assert hands.change(lifecycle.note(held, [("note", 1, None)])).misses == []


def what_is_owed_is_claimed_for_cleanup(hands: Hands) -> None:
    """A cancelled task that owes cleanup is claimed again under its verdict, with attempts of its own."""
    task_id = hands.submit()
    owing(hands, hands.claim_one())
    assert hands.cancel(task_id, "why") == "asked", "cancelling what owes cleanup"
    assert hands.row(task_id).verdict == State.CANCELLED
    held = hands.claim_one()
    assert (held.verdict, held.owed, held.cleanup, held.attempt) == (State.CANCELLED, ("undo",), 1, 0), held
    assert [ask.key for ask in hands.exchange().asked] == [held.key], "under a verdict, but not asked"
    hands.finish(held)
    assert hands.seen(task_id) == (State.CANCELLED, 0)


def the_plan_of_cancelling_is_followed(hands: Hands) -> None:
    """Every row of the rule that core gives, from the state it is for to the state it names."""
    for plan in CANCEL:
        task_id = hands.submit()
        held = hands.claim_one()
        if plan.state != State.RUNNING or plan.owed:
            owing(hands, held, plan.state, owed=plan.owed)
        assert hands.cancel(task_id) == plan.answer, plan
        row = hands.row(task_id)
        assert (row.state, row.verdict) == (plan.to, plan.verdict), f"{plan}: {row}"
        assert hands.told(task_id) == [plan.event], f"{plan}: {hands.told(task_id)}"
        if row.state == State.READY:
            hands.finish(hands.claim_one())


def a_cancel_may_be_of_certain_states_only(hands: Hands) -> None:
    """Whoever means what waits does not stop what has begun meanwhile, nor what somebody else has cancelled."""
    running, asked, ready = hands.submit(), hands.submit(), hands.submit()
    assert len(hands.claim(2)) == 2
    hands.cancel(asked, "first")

    def cancel(*only: State) -> dict[str, str]:
        cancels = [CancelAsked(task_id, "second", only) for task_id in (running, asked, ready, "unknown")]
        return hands.store.exchange(Request(cancels=cancels)).cancelled

    assert cancel() == {}
    assert cancel(State.SCHEDULED, State.READY) == {ready: "cancelled"}
    assert (hands.told(running), hands.told(asked)) == ([], ["verdict"]), "a task in another state was cancelled"
    assert cancel(State.READY, State.RUNNING) == {running: "asked"}
    assert [hands.row(task_id).reason for task_id in (running, asked, ready)] == ["second", "first", "second"]


def cancelling_an_unknown_task_is_not_answered(hands: Hands) -> None:
    """There is nothing to say of it."""
    assert hands.cancel("unknown") is None


CHECKS: tuple[Check, ...] = (
    a_waiting_task_is_cancelled_at_once,
    a_running_task_is_asked_to_end,
    one_cancel_among_others_is_answered_as_if_alone,
    a_verdict_is_needed_where_one_is_claimed,
    what_is_owed_is_claimed_for_cleanup,
    the_plan_of_cancelling_is_followed,
    a_cancel_may_be_of_certain_states_only,
    cancelling_an_unknown_task_is_not_answered,
)


def owing(hands: Hands, held: Held, state: State = State.READY, *, owed: bool = True) -> None:
    """Put a task that is held into a state, with cleanup owed."""
    names = '["undo"]' if owed else None
    given_back = -1 if state != State.RUNNING else 0
    change = Change(
        held.key, held.claim, 0, [], None, None, None, state, Guard.NONE, attempt=given_back, run_at=1, owed=names
    )  # fmt: skip
    assert hands.change(change).misses == []
