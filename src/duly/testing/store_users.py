"""What a store owes to several users: who lets go of it goes on with it, and notices what another one writes."""

from __future__ import annotations

import select

from duly.core.task import State
from duly.ports import CancelAsked, Request, Want
from duly.testing.store_hands import HOUR, Check, Hands

FELT_MS = 10_000


def it_is_let_go_of_and_used_again(hands: Hands) -> None:
    """What was stored is there, nodes live on, and what a node counts goes on, too."""
    task_id, node = hands.submit(), hands.enlist()
    hands.store.let_go()
    assert hands.seen(task_id) == (State.READY, 0)
    hands.store.let_go()
    hands.store.let_go()
    assert [held.id for held in hands.claim()] == [task_id]
    assert hands.store.dead() == [], "a node died since its store was let go of"
    assert [row.number for row in hands.store.nodes()] == [node]


def it_can_be_closed_twice(hands: Hands) -> None:
    """The second time does nothing."""
    hands.enlist()
    hands.store.close()
    hands.store.close()


def it_is_as_old_as_who_has_opened_it(hands: Hands) -> None:
    """Nobody newer has changed it."""
    hands.store.check_age()


def who_waits_for_it_can_do_something_else(hands: Hands) -> None:
    """If its answers come from afar, that is done before each of them; else never."""
    done: list[str] = []
    far = hands.store.meanwhile(lambda: done.append(""))
    hands.submit()
    assert bool(done) == far


def its_time_goes_on(hands: Hands) -> None:
    """Each exchange tells it, `now` does without one; what is due then is ready."""
    at = hands.now() + hands.moment(HOUR)
    task_id = hands.submit(state=State.SCHEDULED, run_at=at)
    reply = hands.exchange(wants=[Want([hands.lane], 1)])
    assert reply.now >= at or not reply.claims, "claimed before its time"
    hands.wait_until(at)
    assert hands.store.now() >= at
    assert [held.id for held in reply.claims or hands.claim()] == [task_id]


def what_others_write_is_noticed(hands: Hands) -> None:
    """`version` is another number then, and who can feel ripples feels one."""
    task_id = hands.submit()
    version = hands.store.version()
    other = hands.beside()
    if other is None:
        return
    ripples = hands.store.ripples()
    try:
        other.exchange(Request(cancels=[CancelAsked(task_id, "another did")]))
        assert hands.store.version() != version, "what another one wrote is not noticed"
        assert hands.seen(task_id) == (State.CANCELLED, 0)
        if ripples is not None:
            poll = select.poll()
            poll.register(ripples.fileno(), select.POLLIN)
            assert poll.poll(FELT_MS), "no ripple is felt"
            ripples.silence()
            assert not poll.poll(0), "a ripple is felt after it was taken in"
    finally:
        if ripples is not None:
            ripples.close()
        other.close()


def others_see_who_lives(hands: Hands) -> None:
    """A node of another user of the store lives until that one is closed, and then is dead for all."""
    other = hands.beside()
    if other is None:
        return
    number = other.enlist("another", "", "")
    assert hands.store.dead() == []
    other.abandon(number)
    assert [row.number for row in hands.store.dead()] == [number]
    other.close()
    hands.store.leave(number)
    assert hands.store.nodes() == []


CHECKS: tuple[Check, ...] = (
    it_is_let_go_of_and_used_again,
    it_can_be_closed_twice,
    it_is_as_old_as_who_has_opened_it,
    who_waits_for_it_can_do_something_else,
    its_time_goes_on,
    what_others_write_is_noticed,
    others_see_who_lives,
)
