"""What a store owes to whoever pauses a queue or an action: it is kept, told to all nodes, and holds up no cleanup."""

from __future__ import annotations

from typing import get_args

import msgspec

from duly.core import lifecycle
from duly.core.order import Place
from duly.core.task import Held, State
from duly.ports import Paused, Want
from duly.testing.store_cancels import owing
from duly.testing.store_hands import Check, Hands


def a_pause_is_kept_until_it_is_ended(hands: Hands) -> None:
    """By kind and name, with the moment since when; said twice it is one, and the others stay."""
    assert hands.store.pauses() == [], "an empty store is paused"
    before = hands.now()
    for kind in get_args(Paused):
        assert hands.store.pause(kind, "mail"), f"pausing a {kind} changed nothing"
    assert {(pause.kind, pause.name) for pause in hands.store.pauses()} == {("queue", "mail"), ("action", "mail")}
    told = hands.store.pauses()
    assert all(before <= pause.since <= hands.now() for pause in told), told
    assert not hands.store.pause("queue", "mail"), "what is paused was paused"
    assert hands.store.pauses() == told, "pausing again has changed since when"
    assert not hands.store.resume("queue", "other"), "what is not paused was resumed"
    assert hands.store.resume("queue", "mail"), "resuming changed nothing"
    assert hands.store.pauses() == [pause for pause in told if pause.kind == "action"], hands.store.pauses()
    assert not hands.store.resume("queue", "mail"), "it was resumed twice"


def nodes_are_told_when_pauses_change(hands: Hands) -> None:
    """Each change, and nothing else, makes the number another one that tells nodes to look at lanes and pauses."""
    seen = [hands.exchange().lanes_version]
    for change in (hands.store.pause, hands.store.resume, hands.store.pause):
        assert change("action", "test:check")
        seen.append(hands.exchange().lanes_version)
        assert hands.exchange().lanes_version == seen[-1], "the number changes by itself"
    assert len(set(seen)) == len(seen), f"a change is not told of, or as one before: {seen}"
    assert not hands.store.pause("action", "test:check")
    assert hands.exchange().lanes_version == seen[-1], "what changed nothing is told of"


def tasks_of_what_is_paused_are_kept(hands: Hands) -> None:
    """They are stored and become due as always; who does not ask for a lane leaves them alone."""
    hands.store.pause("queue", "default")
    now = hands.now()
    due, ready = hands.submit(state=State.SCHEDULED, run_at=now - 1), hands.submit()
    other = hands.store.lanes([("other", "test:check", 1)])[-1].number
    assert hands.claim(lanes=[other]) == []
    assert {hands.seen(due), hands.seen(ready)} == {(State.READY, 0)}, "what is due is not ready"
    hands.store.resume("queue", "default")
    assert {held.id for held in hands.claim()} == {due, ready}


def only_what_owes_cleanup_is_claimed_for_cleanup(hands: Hands) -> None:
    """In the order of urgency, from these lanes; a suspect alone, and as a suspect."""
    other = hands.store.lanes([("other", "test:check", 1)])[-1].number
    low, high, elsewhere = hands.submit(band=2), hands.submit(band=0), hands.submit(lane=other)
    held = {held.id: held for held in hands.claim(lanes=[hands.lane, other])}
    for task_id in (low, high, elsewhere):
        _cancelled_owing(hands, held[task_id])
    plain = hands.submit(band=0, place=Place.FRONT)
    assert hands.row(plain).state == State.READY
    claims = _claim(hands, suspect=False)
    assert [(one.id, one.cleanup, one.verdict) for one in claims] == [
        (task_id, 1, State.CANCELLED) for task_id in (high, low)
    ], claims
    assert _claim(hands, suspect=True) == [], "a suspect was claimed where there is none"
    for one in (claims[0], *hands.claim()):
        suspected = msgspec.structs.replace(lifecycle.hand_back(one, 1), suspect=1)
        assert hands.change(suspected).misses == []
    assert {hands.row(task_id).suspect for task_id in (high, plain)} == {1}
    assert _claim(hands, suspect=False) == [], "a suspect is claimed among others"
    assert [one.id for one in _claim(hands, suspect=True)] == [high], "not the suspect that owes cleanup"


CHECKS: tuple[Check, ...] = (
    a_pause_is_kept_until_it_is_ended,
    nodes_are_told_when_pauses_change,
    tasks_of_what_is_paused_are_kept,
    only_what_owes_cleanup_is_claimed_for_cleanup,
)


def _claim(hands: Hands, *, suspect: bool) -> list[Held]:
    return hands.exchange(wants=[Want([hands.lane], 10, suspect=suspect, cleanup=True)]).claims


def _cancelled_owing(hands: Hands, held: Held) -> None:
    owing(hands, held)
    assert hands.cancel(held.id) == "asked"
