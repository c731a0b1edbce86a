"""What a store owes to whoever retries a task: what failed begins anew, and nothing else is touched."""

from __future__ import annotations

import msgspec

from duly.core import lifecycle
from duly.core.outcome import Died, Failure, OutOfMemory
from duly.core.task import Change, Guard, Held, State
from duly.ports import CancelAsked, Request, Retried
from duly.testing.store_hands import HOUR, POLICY, Check, Hands, ended

FINAL = Failure("no", retry=False)
REFUSED = ("ready", "running", "cancelling", "succeeded", "cancelled")


def what_failed_begins_anew(hands: Hands) -> None:
    """It is ready, nothing that was counted before counts, and how it ended is kept in its history alone."""
    task_id = hands.submit()
    held = _lost_and_dying(hands)
    hands.change(lifecycle.finish(held, POLICY, FINAL, 7, 0.5, before=[("update", 6, 1)], info="{}"))
    before = hands.row(task_id)
    assert (before.state, before.deaths, before.losses) == (State.FAILED, 1, 1), before
    assert hands.retry(task_id) == Retried(True, "ready")
    row = hands.row(task_id)
    assert (row.state, row.attempt, row.deaths, row.losses, row.suspect) == (State.READY, 0, 0, 0, 0), row
    assert (row.cause, row.reason, row.error, row.ended_at, row.verdict) == (None, None, None, None, None), row
    assert (row.started_at, row.info) == (before.started_at, "{}"), "what it did is forgotten"
    assert hands.told(task_id)[-2:] == ["fail", "release"], hands.told(task_id)
    again = hands.claim_one()
    assert again.claim > held.claim, "a claim that does not grow is no fence"
    assert (again.attempt, again.cleanup, again.owed, again.suspect) == (1, 0, (), 0), again
    assert len(hands.finish(held).misses) == 1, "a former holder is heard after a retry"
    assert hands.finish(again).misses == []


def a_retry_is_at_the_back_of_the_declared_band(hands: Hands) -> None:
    """Wherever repeated failure had put it, and though it was submitted first."""
    first = hands.submit(band=0, options='{"priority":"high"}')
    held = hands.claim_one()
    hands.change(msgspec.structs.replace(ended(held, FINAL), band=2))
    second, medium = hands.submit(band=0), hands.submit()
    hands.retry(first)
    third = hands.submit(band=0)
    assert [held.id for held in hands.claim()] == [second, first, third, medium]


def what_waits_for_its_date_is_due_now(hands: Hands) -> None:
    """It keeps what was counted, and stands in line as if it had come now, unless it came before."""
    before = hands.submit()
    dated = hands.submit(state=State.SCHEDULED, run_at=hands.now() + HOUR)
    assert hands.retry(dated) == Retried(True, "ready")
    row = hands.row(dated)
    assert row.run_at is not None
    assert row.run_at < hands.now() + HOUR
    after = hands.submit()
    held = hands.claim()
    assert [one.id for one in held] == [before, dated, after]
    hands.change(lifecycle.finish(held[0], POLICY, Died(signal=9), hands.now() + HOUR, 0.5))
    assert hands.retry(before) == Retried(True, "ready")
    assert (hands.row(before).attempt, hands.row(before).deaths) == (1, 1), "a retry before its date forgets nothing"
    assert hands.told(before) == ["retry", "release"]
    assert hands.claim_one().attempt == 2


def what_waits_for_a_place_goes_on_waiting(hands: Hands) -> None:
    """Its limit is still full."""
    task_id = hands.submit(state=State.PARKED)
    assert hands.retry(task_id) == Retried(True, "parked")
    assert hands.claim() == []


def any_other_task_is_refused_and_not_touched(hands: Hands) -> None:
    """The answer tells the state that it is in."""
    held = {}
    for name in REFUSED[1:]:
        hands.submit(name)
        held[name] = hands.claim_one()
    hands.submit("ready")
    hands.change(ended(held["succeeded"]), lifecycle.hand_back(held["cancelled"], 7))
    hands.change(_owing(held["cancelling"]))
    hands.store.exchange(Request(cancels=[CancelAsked(name, "") for name in ("cancelled", "cancelling")]))
    before = [hands.row(name) for name in REFUSED]
    retried = hands.store.exchange(Request(retries=[*REFUSED, "unknown"])).retried
    assert retried == {name: Retried(False, name) for name in REFUSED}, retried
    assert [hands.row(name) for name in REFUSED] == before, "a refused retry has changed something"


def a_retry_after_cleanup_owes_none(hands: Hands) -> None:
    """What is cancelled after it was retried ends at once: the cleanup of before has been done."""
    task_id = hands.submit()
    held = hands.claim_one()
    hands.change(msgspec.structs.replace(_owing(held), state=State.RUNNING, attempt=0))
    hands.finish(msgspec.structs.replace(held, owed=("undo",)), FINAL)
    assert hands.retry(task_id) == Retried(False, "cancelling"), "what owes cleanup was retried"
    hands.finish(hands.claim_one())
    assert hands.row(task_id).state == State.FAILED
    assert hands.retry(task_id) == Retried(True, "ready")
    assert hands.row(task_id).verdict is None
    assert hands.cancel(task_id) == "cancelled"


def a_retry_and_a_cancel_together_are_both_answered(hands: Hands) -> None:
    """As if one came after the other."""
    task_id = hands.submit()
    hands.finish(hands.claim_one(), FINAL)
    reply = hands.store.exchange(Request(cancels=[CancelAsked(task_id, "")], retries=[task_id, task_id]))
    assert reply.cancelled[task_id] == ("ended" if reply.retried[task_id].done else "cancelled"), reply
    assert hands.told(task_id) in (["fail", "release"], ["fail", "release", "cancel"])


CHECKS: tuple[Check, ...] = (
    what_failed_begins_anew,
    a_retry_is_at_the_back_of_the_declared_band,
    what_waits_for_its_date_is_due_now,
    what_waits_for_a_place_goes_on_waiting,
    any_other_task_is_refused_and_not_touched,
    a_retry_after_cleanup_owes_none,
    a_retry_and_a_cancel_together_are_both_answered,
)


def _lost_and_dying(hands: Hands) -> Held:
    """Claim the one task, lose its node, have it run out of memory, and claim it once more."""
    hands.change(lifecycle.rescue(hands.claim_one(), POLICY, 7, 0.5))
    hands.change(ended(hands.claim_one(), OutOfMemory(peak=2, limit=1)))
    hands.now()
    return hands.claim_one()


def _owing(held: Held) -> Change:
    """Put a task back whose cleanup is owed."""
    return Change(held.key, held.claim, 0, [], None, None, None, State.READY, Guard.NONE, attempt=-1, owed='["undo"]')
