"""What a store owes to tasks that an attempt submits with its success: all or nothing."""

from __future__ import annotations

from duly.core import lifecycle
from duly.core.outcome import Success
from duly.core.task import Held, State
from duly.ports import Child, Request, Submission
from duly.testing.store_hands import LARGE, Check, Hands, ended


def adopted(held: Held, *submissions: Submission) -> list[Child]:
    """Children of this claim."""
    return [Child(held.key, held.claim, submission) for submission in submissions]


def children_are_stored_with_their_parents_success(hands: Hands) -> None:
    """They are ready at once, in their order, and are told as created."""
    parent = hands.submit()
    held = hands.claim_one()
    first, second = hands.submission(), hands.submission()
    reply = hands.exchange(changes=[ended(held)], children=adopted(held, first, second))
    assert reply.misses == [], reply.misses
    assert hands.seen(parent) == (State.SUCCEEDED, 1)
    assert [held.id for held in hands.claim()] == [first.id, second.id], "children are not there, or not in order"


def children_of_a_stale_claim_are_not_stored(hands: Hands) -> None:
    """Neither are those of a change that a verdict kept from applying; what is beside them is."""
    hands.submit()
    cancelled_id = hands.submit()
    stale, cancelled = hands.claim(2)
    hands.change(lifecycle.hand_back(stale, 1))
    hands.cancel(cancelled_id)
    other = hands.claim_one()
    late, unwanted, wanted, beside = (hands.submission() for _ in range(4))
    reply = hands.exchange(
        changes=[ended(stale), ended(cancelled), ended(other)],
        children=[*adopted(stale, late), *adopted(cancelled, unwanted), *adopted(other, wanted)],
        submits=[beside],
    )
    assert len(reply.misses) == 2, reply.misses
    found = {row.id for row in hands.store.find([late.id, unwanted.id, wanted.id, beside.id])}
    assert found == {wanted.id, beside.id}, "children of claims that missed are stored, or others are not"
    assert late.id not in reply.submitted, "a child that was not stored is told as stored"


def one_that_is_submitted_anyway_needs_no_parent(hands: Hands) -> None:
    """A task that was submitted twice, once as a child, is one task, whatever becomes of the parent."""
    hands.submit()
    stale = hands.claim_one()
    hands.change(lifecycle.hand_back(stale, 1))
    both, known = hands.submission(), hands.submission()
    hands.store.exchange(Request(submits=[known]))
    other = next(held for held in hands.claim() if held.id != known.id)
    hands.exchange(changes=[ended(stale)], children=adopted(stale, both), submits=[both])
    assert hands.row(both.id).state == State.READY, "a task that was submitted anyway is not stored"
    reply = hands.exchange(changes=[ended(other)], children=adopted(other, known))
    assert reply.submitted == {known.id: "existing"}, reply.submitted


def two_parents_of_one_child_store_it_once(hands: Hands) -> None:
    """One of them is enough."""
    for _ in range(3):
        hands.submit()
    stale, first, second = hands.claim(3)
    hands.change(lifecycle.hand_back(stale, 1))
    child = hands.submission()
    hands.exchange(
        changes=[ended(stale), ended(first), ended(second)],
        children=[*adopted(stale, child), *adopted(first, child), *adopted(second, child)],
    )
    assert hands.row(child.id).state == State.READY


def a_repeated_exchange_stores_no_child_twice(hands: Hands) -> None:
    """Its number was used before, and the parent has ended: either would do."""
    hands.submit()
    held = hands.claim_one()
    child, another = hands.submission(), hands.submission()
    hands.exchange(changes=[ended(held)], children=adopted(held, child))
    for number in (hands.number - 1, hands.number):
        hands.number = number
        reply = hands.exchange(changes=[ended(held)], children=adopted(held, child, another))
        assert len(reply.misses) == 1 or not reply.done, reply
    assert hands.store.find([another.id]) == [], "a parent that had ended has stored a child"
    assert [held.id for held in hands.claim()] == [child.id]


def large_children_are_kept_whole(hands: Hands) -> None:
    """As large payloads of others are, beside a large result and a claim that missed."""
    hands.submit()
    parent = hands.submit()
    stale, held = hands.claim(2)
    hands.change(lifecycle.hand_back(stale, 1))
    child, orphan = hands.submission(payload=LARGE), hands.submission(payload=LARGE)
    hands.exchange(
        changes=[ended(held, Success(LARGE)), ended(stale)], children=[*adopted(held, child), *adopted(stale, orphan)]
    )
    claimed = {held.id: held.payload for held in hands.claim()}
    assert claimed[child.id] == LARGE, "a large child came back changed"
    assert orphan.id not in claimed
    assert hands.store.large(hands.row(parent).key, "value") == LARGE


CHECKS: tuple[Check, ...] = (
    children_are_stored_with_their_parents_success,
    children_of_a_stale_claim_are_not_stored,
    one_that_is_submitted_anyway_needs_no_parent,
    two_parents_of_one_child_store_it_once,
    a_repeated_exchange_stores_no_child_twice,
    large_children_are_kept_whole,
)
