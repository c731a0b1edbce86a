"""What a store owes to whoever holds a task: its claim decides, and all is done or nothing."""

from __future__ import annotations

import msgspec

from duly.core import lifecycle
from duly.core.outcome import Died, Failure, Interrupted, Snoozed, Success
from duly.core.task import Held, State
from duly.errors import StoreError
from duly.ports import Rejection, Want
from duly.testing.store_hands import POLICY, Check, Hands, decoded, ended

# what holders say --------------------------------------------------------------------------------------------------


def a_success_ends_a_task(hands: Hands) -> None:
    """The outcome is kept with the task, and its history has it once."""
    task_id = hands.submit()
    waits = hands.store.glance([task_id, "unknown"])
    assert [tuple(glance) for glance in waits] == [(task_id, State.READY, None, 1)], waits
    held = hands.claim_one()
    assert hands.seen(task_id) == (State.RUNNING, 1)
    reply = hands.change(ended(held, Success('{"a":1}'), before=[("start", 5, None)]))
    row = hands.row(task_id)
    assert reply.misses == [], reply.misses
    assert (row.state, row.value, row.started_at, row.ended_at) == (State.SUCCEEDED, '{"a":1}', 5, 7), row
    assert hands.told(task_id) == ["start", "success"], "a success is not told as it was"
    over = hands.store.glance([task_id])
    assert [tuple(glance) for glance in over] == [(task_id, State.SUCCEEDED, None, 3)], over
    assert hands.claim() == [], "a task that has ended was claimed"


def a_stale_claim_changes_nothing(hands: Hands) -> None:
    """Once another holds the task, what its first holder says misses, and only that."""
    task_id, other_id = hands.submit(), hands.submit()
    stale, other = hands.claim(2)
    hands.change(lifecycle.hand_back(stale, 1))
    held = hands.claim_one()
    assert (held.id, held.claim, held.attempt) == (task_id, 2, 1), held
    assert len(hands.change(lifecycle.note(stale, [("note", 1, None)])).misses) == 1, "a stale claim has told something"
    reply = hands.change(ended(stale), ended(other))
    ((key, claim, state, claim_now, verdict),) = reply.misses
    assert (key, claim, state, claim_now, verdict) == (stale.key, 1, State.RUNNING, 2, None), reply.misses
    assert hands.seen(task_id) == (State.RUNNING, 1), "a stale claim has changed the task"
    assert hands.told(task_id) == [], "a stale claim has left events"
    assert hands.seen(other_id) == (State.SUCCEEDED, 1), "what was said beside a stale claim is lost"
    hands.finish(held)
    ((_, _, state, *_),) = hands.finish(held).misses
    assert state == State.SUCCEEDED, "an ended task takes another outcome"
    assert hands.told(task_id) == ["success"], "one outcome was recorded twice"


def a_change_of_an_unknown_task_misses(hands: Hands) -> None:
    """It is told as gone."""
    nobody = Held(1_000_000, 1, "", hands.lane, 1, 0, 1)
    assert [miss.state for miss in hands.finish(nobody).misses] == [None]


def attempts_are_counted_and_given_back(hands: Hands) -> None:
    """A failure counts and waits for its date; an interruption and a snooze count nothing."""
    task_id = hands.submit()
    hands.finish(hands.claim_one(), Interrupted())
    assert hands.seen(task_id) == (State.READY, 0), "an interruption was counted"
    hands.finish(hands.claim_one(), Snoozed(1))
    assert hands.row(task_id).attempt == 0, "a snooze was counted"
    hands.finish(hands.claim_one(), Died(signal=11))
    row = hands.row(task_id)
    assert (row.attempt, row.deaths, row.run_at) == (1, 1, 7 + 500_000), row
    held = hands.claim_one()
    assert (held.claim, held.attempt, held.deaths, held.began) == (4, 2, 1, 1), held
    hands.finish(held, Failure("no", retry=False))
    row = hands.row(task_id)
    assert (row.state, row.cause, row.attempt, row.started_at) == (State.FAILED, "failure", 2, 5), row
    assert row.error is not None, "a failed task says no reason"
    assert hands.told(task_id) == ["interrupt", "snooze", "retry", "fail"], hands.told(task_id)
    attempts = [run.attempt for run in hands.store.events(task_id, 0, 10)]
    assert attempts == [1, 1, 1, 2], f"events belong to attempts {attempts}"


def notes_are_kept_with_a_running_task(hands: Hands) -> None:
    """What a running task tells is read before it ends: its start, its updates, its runtime info."""
    task_id = hands.submit()
    held = hands.claim_one()
    assert hands.store.last_update(task_id) is None, "a task that said nothing has an update"
    hands.change(lifecycle.note(held, [("start", 4, None), ("update", 5, {"a": 1})], started_at=4))
    hands.change(lifecycle.note(held, [("update", 6, {"a": 2}), ("note", 6, "x")], info='{"k":1}'))
    row = hands.row(task_id)
    assert (row.state, row.started_at, row.info, row.seq) == (State.RUNNING, 4, '{"k":1}', 5), row
    assert hands.told(task_id) == ["start", "update", "update", "note"]
    assert hands.store.last_update(task_id) in ('{"a":2}', '{"a": 2}'), "not the last update"
    hands.finish(held)
    assert hands.row(task_id).info == '{"k":1}', "runtime info is lost at the end"


def what_is_told_may_be_any_text(hands: Hands) -> None:
    """Characters that databases are known to stumble over, in updates, results and errors."""
    words = "a\x00b \\u0000 \u2028 😀 \x7f"
    told, failed = hands.submit(), hands.submit()
    held = {held.id: held for held in hands.claim()}
    hands.change(lifecycle.note(held[told], [("update", 5, {"data": words})]))
    update = hands.store.last_update(told)
    assert update is not None
    assert msgspec.json.decode(update) == {"data": words}, "an update is read changed"
    value = msgspec.json.encode(words).decode()
    hands.change(ended(held[told], Success(value)), ended(held[failed], Failure(words, retry=False)))
    assert hands.row(told).value == value, "a result is read changed"
    (run,) = hands.store.events(failed, 0, 10)
    assert decoded(run.body)[-1][2]["value"] == words, "an error is read changed"


def events_are_read_from_any_number(hands: Hands) -> None:
    """A reader that tells the last number it saw gets the run that follows, and all after it."""
    task_id = hands.submit()
    held = hands.claim_one()
    for _ in range(3):
        hands.change(lifecycle.note(held, [("note", 1, None), ("note", 2, None)]))
    firsts = [[run.first for run in hands.store.events(task_id, after, 10)] for after in (0, 1, 2, 3, 7, 99)]
    assert firsts[:2] == [[2, 4, 6], [2, 4, 6]], firsts
    for after, runs in zip((2, 3), firsts[2:4], strict=True):
        assert runs[-2:] == [4, 6], f"after {after} these runs follow: {runs}"
    assert [run.first for run in hands.store.events(task_id, 0, 2)] == [2, 4], "a page is not the first page"
    assert hands.store.events("unknown", 0, 10) == []


def late_answers_are_history_alone(hands: Hands) -> None:
    """A rejection changes nothing but the history, also when two concern one task."""
    task_id = hands.submit()
    hands.finish(hands.claim_one())
    key = hands.row(task_id).key
    late = [Rejection(key, claim, [("rejected", 9, None)]) for claim in (1, 2)]
    hands.exchange(rejections=[*late, Rejection(1_000_000, 1, [("rejected", 9, None)])])
    assert hands.told(task_id) == ["success", "rejected", "rejected"], hands.told(task_id)
    assert hands.seen(task_id) == (State.SUCCEEDED, 1)


# all or nothing ----------------------------------------------------------------------------------------------------


def an_exchange_is_done_whole_or_not_at_all(hands: Hands) -> None:
    """A node that was given up changes, submits, cancels and claims nothing, and is told so."""
    task_id, waiting = hands.submit(), hands.submit()
    held = hands.claim(1)[0]
    lost, number = hands.node, hands.number
    hands.enlist()
    hands.change(lifecycle.rescue(held, POLICY, 1, 0.5))
    hands.store.leave(lost)
    hands.node, hands.number = lost, number
    new = hands.submission()
    reply = hands.exchange(changes=[ended(held)], submits=[new], wants=[Want([hands.lane], 5)])
    assert not reply.done, "a node that was given up goes on"
    said = (reply.submitted, reply.claims, reply.counted)
    assert said == ({}, [], False), f"nothing was done, but this is said: {reply}"
    assert hands.store.find([new.id]) == [], "half of an exchange was done: a task was stored"
    assert (hands.seen(task_id), hands.seen(waiting)) == ((State.READY, 0), (State.READY, 0))


def a_number_counts_once(hands: Hands) -> None:
    """An exchange that is repeated, or skips a number, is not done."""
    first, second = hands.submission(), hands.submission()
    assert hands.exchange(submits=[first]).counted, "an exchange that wrote was not counted"
    hands.number -= 1
    assert not hands.exchange(submits=[second]).done, "a number was used twice"
    hands.number += 2
    assert not hands.exchange(submits=[second]).done, "a number was left out"
    assert hands.store.find([second.id]) == []
    hands.number -= 1
    assert hands.exchange(submits=[second]).done, "after a refused exchange the right number is refused"


def what_writes_nothing_is_not_counted(hands: Hands) -> None:
    """Looking for work in vain costs no commit and no number."""
    hands.enlist()
    for _ in range(2):
        reply = hands.exchange(wants=[Want([hands.lane], 5)])
        assert (reply.done, reply.counted, reply.claims, reply.misses) == (True, False, [], []), reply


def two_changes_of_one_claim_are_refused(hands: Hands) -> None:
    """A store that joins rows would lose one of them in silence."""
    task_id = hands.submit()
    held = hands.claim_one()
    refused = False
    try:
        hands.change(*(lifecycle.note(held, [], info=info) for info in ("1", "2")))
    except StoreError:
        refused = True
    assert refused, "two changes of one claim were taken"
    assert hands.row(task_id).info is None, "one of two changes was carried out"


CHECKS: tuple[Check, ...] = (
    a_success_ends_a_task,
    a_stale_claim_changes_nothing,
    a_change_of_an_unknown_task_misses,
    attempts_are_counted_and_given_back,
    notes_are_kept_with_a_running_task,
    what_is_told_may_be_any_text,
    events_are_read_from_any_number,
    late_answers_are_history_alone,
    an_exchange_is_done_whole_or_not_at_all,
    a_number_counts_once,
    what_writes_nothing_is_not_counted,
    two_changes_of_one_claim_are_refused,
)
