"""What a store owes to whoever keeps it in order: what ended leaves it in two steps, and nothing else does."""

from __future__ import annotations

from duly.core import lifecycle
from duly.core.keeping import DAY, NEVER, Aged, Keep
from duly.core.outcome import Failure, Success
from duly.core.task import State
from duly.ports import Filter, Rejection, Request
from duly.testing.store_hands import HOUR, LARGE, Check, Hands


def _ended(hands: Hands, payload: str = "{}") -> Aged:
    """Submit a task and end it; return what tells its age."""
    task_id = hands.submit(payload=payload)
    hands.finish(hands.claim_one(), Success(payload))
    return _aged(hands, task_id)


def _aged(hands: Hands, task_id: str) -> Aged:
    key = hands.row(task_id).key
    (aged,) = hands.store.survey(key - 1, key, 10)
    return aged


def _moment(aged: Aged) -> tuple[int, int]:
    assert aged.ended_at is not None
    return aged.key, aged.ended_at


def tasks_are_surveyed_in_order(hands: Hands) -> None:
    """All of them, in whatever state, by their keys, no more than asked for."""
    ids = [hands.submit() for _ in range(3)]
    rows = [hands.row(task_id) for task_id in ids]
    found = hands.store.survey(0, NEVER, 10)
    assert found == [Aged(row.key, hands.lane, State.READY, row.submitted, None, False) for row in rows], found
    assert found == sorted(found)
    assert hands.store.survey(found[0].key, found[2].key, 1) == [found[1]]
    assert hands.store.survey(found[0].key, found[1].key, 10) == [found[1]]


def an_emptied_task_is_its_id_and_how_it_ended(hands: Hands) -> None:
    """Nothing of what it carried, came to and told is left, and no list or count has it."""
    task_id = hands.submit(payload=LARGE, origin="me")
    hands.finish(hands.claim_one(), Success(LARGE))
    key, moment = _moment(_aged(hands, task_id))
    chunks = hands.store.empty([(key, moment)])
    assert chunks, "large values were emptied, and no chunk was named"
    while hands.store.drop_history([key]):
        pass
    hands.store.drop_chunks(chunks)
    row = hands.row(task_id)
    assert (row.seq, row.state, row.payload, row.value, row.origin) == (0, State.SUCCEEDED, "null", None, ""), row
    assert hands.store.events(task_id, 0, 10) == []
    assert hands.store.large(key, "value") == ""
    assert hands.store.tasks(Filter(), "newest", None, 10) == []
    assert hands.store.stats() == []


def an_emptied_tasks_id_is_known(hands: Hands) -> None:
    """To submit it again is not to run it again; nor is it retried."""
    aged = _ended(hands)
    task_id = hands.store.tasks(Filter(), "newest", None, 1)[0].id
    hands.store.empty([_moment(aged)])
    answer = hands.store.exchange(Request(submits=[hands.submission(task_id)])).submitted
    assert answer == {task_id: "existing"}, answer
    assert hands.retry(task_id) is None
    assert hands.claim() == []


def only_what_ended_then_is_emptied(hands: Hands) -> None:
    """Not what waits or runs, nor what was retried and has ended anew."""
    waits = hands.submit()
    held = hands.claim_one()
    for state in (State.RUNNING, State.READY):
        hands.store.empty([(held.key, 7)])
        assert hands.row(waits).seq > 0, f"a task that is {state.name} was emptied"
        hands.change(lifecycle.hand_back(held, 7))
    hands.finish(hands.claim_one(), Failure("no", retry=False))
    key, moment = _moment(_aged(hands, waits))
    hands.store.empty([(key, moment - 1)])
    assert hands.row(waits).seq > 0, "a task was emptied for an end that it has no more"


def what_told_late_stays_unsaid(hands: Hands) -> None:
    """A late answer revives nothing of what was emptied."""
    task_id = hands.submit()
    held = hands.claim_one()
    hands.finish(held)
    hands.store.empty([_moment(_aged(hands, task_id))])
    hands.exchange(rejections=[Rejection(held.key, held.claim, [("rejected", 9, None)])])
    assert hands.row(task_id).seq == 0, "a late answer has made an emptied task readable"
    hands.store.drop_history([held.key])
    assert hands.store.events(task_id, 0, 10) == []


def only_what_was_emptied_is_removed(hands: Hands) -> None:
    """And has no history left; the newest never is."""
    first, second = _ended(hands), _ended(hands)
    dated = hands.row(hands.submit(state=State.SCHEDULED, run_at=hands.now() + HOUR)).key
    newest = _ended(hands)
    keys = [first.key, second.key, dated, newest.key]
    assert hands.store.remove(keys) == 0, "a task was removed that was not emptied"
    hands.store.empty([_moment(second), _moment(newest)])
    assert hands.store.remove(keys) == 0, "a task was removed before its history"
    while hands.store.drop_history(keys):
        pass
    (kept,) = hands.store.tasks(Filter(states=(State.SUCCEEDED,)), "newest", None, 10)
    assert hands.store.events(kept.id, 0, 10), "more history went"
    assert hands.store.remove(keys) == 1
    assert [aged.key for aged in hands.store.survey(0, NEVER, 10)] == [first.key, dated, newest.key]
    assert hands.store.submitted() == 4, "what was removed is not counted any more"
    again = hands.submit()
    assert hands.store.submitted() == 5
    assert hands.row(again).key > newest.key, "a key was used again"


def what_is_said_of_keeping_is_noted(hands: Hands) -> None:
    """By action and version, for all their lanes; what is said last counts."""
    (lane, other) = (hands.store.lanes([("slow", "test:check", 1)])[place].number for place in (0, 1))
    assert hands.store.keeping() == {}
    assert hands.store.keeping([("test:check", 1, Keep(DAY, None))]) == dict.fromkeys((lane, other), Keep(DAY, None))
    assert hands.store.keeping([("unknown:check", 1, Keep(0, 0))])[lane] == Keep(DAY, None)
    assert hands.store.keeping([("test:check", 1, Keep(0, DAY))])[other] == Keep(0, DAY)


def one_keeps_a_store_in_order(hands: Hands) -> None:
    """Until it wants to no more."""
    assert hands.store.tidy()
    assert hands.store.tidy()
    assert not hands.store.tidy(wanted=False)
    assert hands.store.tidy()


CHECKS: tuple[Check, ...] = (
    tasks_are_surveyed_in_order,
    an_emptied_task_is_its_id_and_how_it_ended,
    an_emptied_tasks_id_is_known,
    only_what_ended_then_is_emptied,
    what_told_late_stays_unsaid,
    only_what_was_emptied_is_removed,
    what_is_said_of_keeping_is_noted,
    one_keeps_a_store_in_order,
)
