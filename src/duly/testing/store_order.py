"""What a store owes to whoever submits: each task once, as it is, in its order, at its time."""

from __future__ import annotations

from duly.core import lifecycle
from duly.core.order import Place, rank_terms
from duly.core.outcome import Success
from duly.core.task import State
from duly.ports import Lane, Request, Store, Want
from duly.testing.store_hands import HOUR, LARGE, Check, Hands, ended

WORDS = '{"text":"Grüße, \\u0000 \\ud83d\\ude00 😀 \\\\ %s"}'


# submitting --------------------------------------------------------------------------------------------------------


def a_task_submitted_twice_is_stored_once(hands: Hands) -> None:
    """A repeated submit changes nothing, also when its content is another one."""
    task_id = hands.submit(payload="1")
    again = hands.submission(task_id, payload="2")
    other = hands.submission()
    reply = hands.exchange(submits=[again, other])
    assert reply.submitted == {task_id: "existing", other.id: "created"}, reply.submitted
    assert hands.row(task_id).payload == "1", "a repeated submit has changed the task"
    assert len(hands.claim()) == 2, "a repeated submit has stored the task again"


def a_task_keeps_its_passport(hands: Hands) -> None:
    """What was submitted is what is claimed and what is read, to the letter."""
    passport = {"payload": WORDS, "options": '{"timeout":1}', "origin": "shop ⚙ %?#", "bell": "b-1"}
    task_id = hands.submit(band=0, **passport)
    held, row = hands.claim_one(), hands.row(task_id)
    for found in (held, row):
        assert (found.id, found.band) == (task_id, 0), found
        assert (found.payload, found.options, found.origin) == (WORDS, '{"timeout":1}', "shop ⚙ %?#"), found
    assert (held.bell, held.lane, held.claim, held.attempt, held.submitted) == ("b-1", hands.lane, 1, 1, row.submitted)
    assert (row.queue, row.action, row.version) == ("default", "test:check", 1), row


def a_large_payload_is_kept_whole(hands: Hands) -> None:
    """Payloads of a megabyte come back as they were, through attempts and repeated submits."""
    small, large = hands.submit(payload="[]"), hands.submit(payload=LARGE)
    assert hands.exchange(submits=[hands.submission(large, payload=LARGE)]).submitted == {large: "existing"}
    for _ in range(2):
        claims = {held.id: held for held in hands.claim()}
        assert claims[small].payload == "[]", "the payload of a task beside a large one is another's"
        assert claims[large].payload == LARGE, "a large payload came back changed"
        hands.change(*(lifecycle.hand_back(held, 1) for held in claims.values()))
    assert hands.row(large).payload == LARGE, "a large payload is read back changed"


def what_is_large_is_no_burden_to_readers(hands: Hands) -> None:
    """A large payload or result is read when it is asked for; any text comes back as it was, in any script."""
    for whole in (LARGE, '"' + "€ 😀 " * 300_000 + '"', "#[9,1]", '"' + "s" * 65_536 + '"'):
        task_id = hands.submit(payload=whole)
        held = hands.claim_one()
        assert held.payload == whole, f"a payload of {len(whole)} characters was claimed changed"
        hands.finish(held, Success(whole))
        (row,) = hands.store.find([task_id])
        assert len(whole) < 1_000 or {row.payload, row.value} == {""}, "what is large is read along"
        assert (hands.row(task_id).payload, hands.row(task_id).value) == (whole, whole), "what is large is read changed"
    assert hands.store.large(1_000_000, "value") == "", "there is something large of an unknown task"
    small = hands.submit(payload="[]")
    assert hands.store.large(hands.row(small).key, "payload") == "[]"
    assert hands.store.large(hands.row(small).key, "value") == "", "a task without a value has one"


def results_are_kept_with_the_change_that_hits(hands: Hands) -> None:
    """A large result whose change misses is not kept, and one beside it is."""
    stale_id, other_id = hands.submit(), hands.submit()
    stale, other = hands.claim(2)
    hands.cancel(stale_id)
    reply = hands.change(ended(stale, Success(LARGE)), ended(other, Success(LARGE)))
    assert [miss.key for miss in reply.misses] == [stale.key], reply.misses
    assert (hands.row(stale_id).value, hands.row(other_id).value) == (None, LARGE)


def tasks_of_one_batch_stand_as_they_came(hands: Hands) -> None:
    """A thousand tasks in one transaction keep their order, and so do those that follow."""
    batches = [[hands.submission() for _ in range(1_000)] for _ in range(2)]
    for batch in batches:
        hands.exchange(submits=batch)
    expected = [submission.id for batch in batches for submission in batch]
    assert [held.id for held in hands.claim(3_000)] == expected, "first come is not first served"


# order and dates ---------------------------------------------------------------------------------------------------


def the_more_urgent_is_claimed_first(hands: Hands) -> None:
    """High before medium before low; within one the front, newest first, then as they came."""
    names = ["low", "back-1", "back-2", "front-1", "front-2", "high"]
    bands, fronts = {"low": 2, "high": 0}, {"front-1", "front-2"}
    for name in names:
        hands.submit(name, band=bands.get(name, 1), place=Place.FRONT if name in fronts else Place.BACK)
    one_by_one = [hands.claim(1)[0].id for _ in names]
    assert one_by_one == ["high", "front-2", "front-1", "back-1", "back-2", "low"], one_by_one


def claims_of_one_exchange_are_in_order(hands: Hands) -> None:
    """The order of a reply is that of urgency, over all lanes."""
    other = _lane(hands.store, "other:check").number
    ids = [hands.submit(band=band, lane=lane) for band, lane in ((2, other), (1, hands.lane), (0, other))]
    assert [held.id for held in hands.claim(lanes=[hands.lane, other])] == ids[::-1], "claims are not in order"


def only_wanted_lanes_are_claimed(hands: Hands) -> None:
    """A task whose lane is not asked for stays where it is."""
    other = _lane(hands.store, "other:check")
    hands.submit(lane=other.number)
    assert hands.claim() == [], "a task of a lane that was not asked for was claimed"
    assert len(hands.claim(lanes=[other.number])) == 1


def lanes_are_added_once(hands: Hands) -> None:
    """A lane keeps its number, and each new one is noticed by all nodes."""
    version = hands.exchange().lanes_version
    assert len(hands.store.lanes()) == 1
    first = _lane(hands.store, "other:check")
    assert hands.exchange().lanes_version != version, "a new lane is not told of"
    assert _lane(hands.store, "other:check") == first, "the same lane was added again"
    assert len(hands.store.lanes([("q", "test:check", 1), ("q", "test:check", 2)])) == 4


def nothing_starts_before_its_date(hands: Hands) -> None:
    """A task with a date is claimed from that moment on, and the store tells which date comes next."""
    now = hands.now()
    later = hands.submit(state=State.SCHEDULED, run_at=now + 2 * HOUR)
    sooner = hands.submit(state=State.SCHEDULED, run_at=now + HOUR)
    past = hands.submit(state=State.SCHEDULED, run_at=now - HOUR)
    reply = hands.exchange(wants=[Want([hands.lane], 10)])
    assert [held.id for held in reply.claims] == [past], "claimed was what is not due, or not what is"
    assert reply.next is not None, "the next date is not told"
    assert (reply.next.at, reply.next.id, reply.next.what) == (now + HOUR, sooner, "due"), reply.next
    assert hands.seen(later) == (State.SCHEDULED, 0)


def a_date_counts_as_arrival(hands: Hands) -> None:
    """A rank is that of the moment of storing, or of the date if that is later: neither is a way to the front."""
    soon = hands.now() + 20_000
    dates = (None, 1, soon)
    ids = [hands.submit(state=State.SCHEDULED if date else State.READY, run_at=date) for date in dates]
    hands.wait_until(soon)
    claims = {held.id: held for held in hands.claim()}
    for task_id, date in zip(ids, dates, strict=True):
        expected = rank_terms(Place.BACK, due=date).at(hands.row(task_id).submitted)
        assert claims[task_id].rank == expected, f"the rank of a task with the date {date}"


def a_delay_counts_from_when_it_is_stored(hands: Hands) -> None:
    """By the store's clock alone, for one task and for several; in line it is a date like any other."""
    delay = hands.moment(HOUR)
    for many in (1, 3):
        before = hands.now()
        submits = [hands.submission(state=State.SCHEDULED, delay=delay) for _ in range(many)]
        hands.store.exchange(Request(submits=submits))
        after = hands.now()
        rows = hands.store.find([one.id for one in submits])
        assert len(rows) == many
        for row in rows:
            assert before <= (row.run_at or 0) - delay <= after + many, f"stored from {before} to {after}: {row}"
        hands.wait_until(after + many + delay)
        claims = {held.id: held.rank for held in hands.claim(many)}
        expected = {row.id: rank_terms(Place.BACK, delay=delay).at(row.submitted) for row in rows}
        assert claims == expected, f"{claims} instead of {expected}"


def what_is_due_is_ready_though_nobody_claims(hands: Hands) -> None:
    """A node that wants nothing just now is not told of the same past date again and again."""
    past = hands.submit(state=State.SCHEDULED, run_at=hands.now() - HOUR)
    assert hands.exchange().next is None, "a date is told that has come already"
    assert hands.seen(past) == (State.READY, 0)


def many_fall_due_at_once(hands: Hands) -> None:
    """Thousands of tasks with the same date are ready within a few exchanges."""
    at = hands.now() - 1
    hands.exchange(submits=[hands.submission(state=State.SCHEDULED, run_at=at) for _ in range(2_500)])
    claimed = sum(len(hands.claim(3_000)) for _ in range(3))
    assert claimed == 2_500, f"{claimed} of 2500 were ready after three exchanges"
    assert hands.exchange().next is None, "what has become ready is still told as due"


def no_more_is_claimed_than_wanted(hands: Hands) -> None:
    """`free` bounds a claim; beyond that only what is more urgent than the worst that is held."""
    ids = [hands.submit(band=band) for band in (0, 0, 1, 1)]
    worst = (0, 1 << 62)
    claims = hands.exchange(wants=[Want([hands.lane], 1, beyond=2, worst=worst)]).claims
    assert [held.id for held in claims] == ids[:2], "claimed beyond what is free was what is not more urgent"
    assert len(hands.exchange(wants=[Want([hands.lane], 0, beyond=5, worst=worst)]).claims) == 0
    assert len(hands.claim(1)) == 1


CHECKS: tuple[Check, ...] = (
    a_task_submitted_twice_is_stored_once,
    a_task_keeps_its_passport,
    a_large_payload_is_kept_whole,
    what_is_large_is_no_burden_to_readers,
    results_are_kept_with_the_change_that_hits,
    tasks_of_one_batch_stand_as_they_came,
    the_more_urgent_is_claimed_first,
    claims_of_one_exchange_are_in_order,
    only_wanted_lanes_are_claimed,
    lanes_are_added_once,
    nothing_starts_before_its_date,
    a_date_counts_as_arrival,
    a_delay_counts_from_when_it_is_stored,
    what_is_due_is_ready_though_nobody_claims,
    many_fall_due_at_once,
    no_more_is_claimed_than_wanted,
)


def _lane(store: Store, action: str) -> Lane:
    return next(lane for lane in store.lanes([("default", action, 1)]) if lane.action == action)
