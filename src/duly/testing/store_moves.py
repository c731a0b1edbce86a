"""What a store owes to whoever moves it: all that it keeps is handed over and taken, while nobody else writes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from duly.core import lifecycle
from duly.core.keeping import DAY, Keep
from duly.core.outcome import Failure, Success
from duly.core.record import Move, Record, What
from duly.core.task import State
from duly.errors import StoreError, StoreMoved
from duly.ports import Rejection, Request, Store
from duly.testing.store_hands import HOUR, LARGE, POLICY, Check, Hands, ended

COMING = Move("check", "coming", "elsewhere")


def fill(hands: Hands) -> dict[str, str]:
    """Have tasks of all kinds in a store, one of them held by a node that is dead; return their ids by kind."""
    made = {}
    hands.store.keeping([("test:check", 1, Keep(DAY, None)), ("unknown:check", 2, Keep(None, 0))])
    other = hands.store.lanes([("slow", "other:check", 2)])[-1].number
    made["emptied"] = hands.submit()
    held = hands.claim_one()
    hands.finish(held)
    hands.store.empty([(held.key, 7)])
    made["succeeded"] = hands.submit(payload=LARGE, origin="me", options='{"queue":"default"}')
    held = hands.claim_one()
    hands.change(ended(held, Success(LARGE), before=[("update", 6, {"text": "😀 Grüße \0"})]))
    hands.exchange(rejections=[Rejection(held.key, held.claim, [("rejected", 9, None)])])
    made["failed"] = hands.submit()
    hands.finish(hands.claim_one(), Failure("no", retry=False))
    made["tried"] = hands.submit(payload=msgspec.json.encode("\0 é").decode())
    hands.change(lifecycle.finish(hands.claim_one(), POLICY, Failure({"why": None}), hands.now() + HOUR, 0.5))
    made["cancelled"] = hands.submit(lane=other)
    hands.cancel(made["cancelled"], "no more")
    made["lost"] = hands.submit()
    hands.change(lifecycle.rescue(msgspec.structs.replace(hands.claim_one(), losses=1), POLICY, 1, 0.5))
    made["asked"] = hands.submit(bell="somewhere")
    made["running"] = hands.submit()
    hands.claim(2)
    hands.cancel(made["asked"])
    hands.store.abandon(hands.node)
    made["late"] = hands.submit(state=State.SCHEDULED, run_at=hands.now() + HOUR)
    made["low"] = hands.submit(band=2)
    made["high"] = hands.submit(band=0, lane=other)
    made["newest"] = hands.submit()
    hands.store.pause("action", "other:check")
    hands.store.pause("queue", "nowhere")
    return made


def dumped(store: Store, most: int = 1_000) -> list[Record]:
    """Return all records of a store."""
    found: list[Record] = []
    while page := store.dump(found[-1].key if found else 0, most):
        assert len(page) <= most, "more records came than were asked for"
        found += page
    return found


def carried(hands: Hands, most: int = 1_000) -> Hands:
    """Return hands on another store, which has all of this one's."""
    other = hands.another()
    other.store.move(COMING)
    other.store.load([], hands.store.inventory())
    last = 0
    while records := hands.store.dump(last, most):
        other.store.load(records)
        last = records[-1].key
    other.store.move(None)
    return other


def what_is_handed_over_is_as_it_was(hands: Hands) -> None:
    """Every field of every task, its history, large texts, and all that is kept beside tasks."""
    made = fill(hands)
    records, inventory = dumped(hands.store), hands.store.inventory()
    assert [record.id for record in records] == list(made.values()), "tasks come in their order, each once"
    assert [record.key for record in records] == sorted(record.key for record in records)
    by_kind = dict(zip(made, records, strict=True))
    assert by_kind["succeeded"].payload == by_kind["succeeded"].value == LARGE, "a large text is not whole"
    assert (by_kind["emptied"].seq, by_kind["emptied"].payload) == (0, "null")
    for task_id in (made["succeeded"], made["tried"], made["asked"]):
        (record,) = (record for record in records if record.id == task_id)
        runs = [(run.first, run.attempt, run.body) for run in record.runs]
        assert runs == [tuple(run) for run in hands.store.events(task_id, 0, 100)], "a history is another one"
    assert (len(inventory.lanes), len(inventory.keeping), len(inventory.pauses)) == (2, 2, 2), inventory
    assert [node.number for node in inventory.nodes] == [node.number for node in hands.store.nodes()]
    other = carried(hands)
    _same(records, dumped(other.store))
    assert other.store.inventory() == inventory
    assert other.store.stats() == hands.store.stats()
    assert other.store.pauses() == hands.store.pauses()
    assert other.store.keeping() == hands.store.keeping()
    other.store.close()


def _same(ours: list[Record], theirs: list[Record]) -> None:
    assert [record.id for record in ours] == [record.id for record in theirs]
    for one, another in zip(ours, theirs, strict=True):
        assert one == another, f"{one} became {another}"


def life_goes_on_after_a_move(hands: Hands) -> None:
    """Ids are known, numbers never used again, what waits is claimed in its order, and the dead are rescued."""
    made = fill(hands)
    other = carried(hands)
    assert hands.store.submitted() <= other.store.submitted() <= hands.store.submitted() + 1
    answer = other.store.exchange(Request(submits=[other.submission(task_id) for task_id in made.values()])).submitted
    assert set(answer.values()) == {"existing"}, answer
    assert other.row(made["succeeded"]).value == LARGE
    assert other.told(made["tried"]) == hands.told(made["tried"])
    dead = [node.number for node in other.store.dead()]
    assert dead == [hands.node], "a node that came with a move lives"
    assert {held.id for held in other.store.held(hands.node, 10)} == {made["asked"], made["running"]}
    new = other.submit()
    assert other.row(new).key > max(record.key for record in dumped(hands.store)), "a key was used again"
    assert other.enlist() > hands.node, "a node's number was used again"
    lanes = other.store.lanes([("quick", "test:check", 1)])
    assert len({lane.number for lane in lanes}) == len(lanes) == 3, "a lane's number was used again"
    ids = [held.id for held in other.claim(lanes=[other.lane])]
    assert ids == [made["newest"], new, made["low"]], ids
    other.change(*(lifecycle.rescue(held, POLICY, 1, 0.5) for held in other.store.held(hands.node, 10)))
    other.store.leave(hands.node)
    assert other.store.dead() == []
    other.store.close()


def records_come_in_pages(hands: Hands) -> None:
    """No more than asked for; of large ones fewer, but always one."""
    fill(hands)
    whole = '"' + "x" * (9 * 1024 * 1024) + '"'
    last = [hands.submit(payload=whole) for _ in range(2)]
    one_by_one = dumped(hands.store, 1)
    pages = [len(hands.store.dump(one_by_one[place].key, 5)) for place in (0, -4, -3)]
    assert pages == [5, 2, 1], f"pages of {pages} records"
    assert [record.id for record in one_by_one[-2:]] == last
    _same(one_by_one, dumped(hands.store, 5))
    other = carried(hands, 3)
    _same(one_by_one, dumped(other.store))
    other.store.close()


def what_was_loaded_is_loaded_once(hands: Hands) -> None:
    """Whoever was interrupted says the same again, and goes on."""
    fill(hands)
    records, inventory = dumped(hands.store), hands.store.inventory()
    other = hands.another()
    other.store.move(COMING)
    other.store.load(records[:6], inventory)
    other.store.load(records[:6], inventory)
    other.store.load(records[4:])
    assert other.store.inventory() == inventory
    _same(records, dumped(other.store))
    other.store.close()


def only_what_is_coming_is_loaded(hands: Hands) -> None:
    """A store that is not being moved to takes no records."""
    hands.submit()
    records = dumped(hands.store)
    other = hands.another()
    for move in (None, Move("check", "leaving", "elsewhere"), Move("check", "left", "elsewhere")):
        other.store.move(move)
        assert other.store.moving() == move
        try:
            other.store.load(records)
        except StoreError:
            assert dumped(other.store) == []
        else:
            raise AssertionError(f"records were taken with {move}")
    other.store.close()


def nobody_writes_to_a_store_that_is_moving(hands: Hands) -> None:
    """Whoever wants to is told where it goes, also who opened it before; it can be read, and used when that is over."""
    made = fill(hands)
    before, inventory = dumped(hands.store), hands.store.inventory()
    beside = hands.beside()
    others = [hands] if beside is None else [hands, Hands(beside, lane=hands.lane)]
    what: What
    for what in ("leaving", "coming", "left"):
        hands.store.move(Move("check", what, "sqlite:////elsewhere.db"))
        for user in others:
            for write in _writes(user, made):
                _refused(write)
        assert dumped(hands.store) == before
        assert hands.store.inventory() == inventory
        assert [node.number for node in hands.store.dead()] == [hands.node]
        assert hands.row(made["succeeded"]).value == LARGE
    hands.store.move(None)
    assert hands.store.moving() is None
    for write in _writes(hands, made):
        write()
    if beside is not None:
        beside.close()


def _writes(hands: Hands, made: dict[str, str]) -> list[Callable[[], Any]]:
    store = hands.store
    (emptied,) = (record.key for record in dumped(store) if record.id == made["emptied"])
    (over,) = (record for record in dumped(store) if record.id == made["succeeded"])
    return [
        hands.submit,
        lambda: hands.cancel(made["low"]),
        lambda: hands.retry(made["failed"]),
        lambda: store.enlist(f"late {hands!r}", "", ""),
        lambda: store.lanes([("new", "test:check", 1)]),
        lambda: store.pause("queue", "default"),
        lambda: store.resume("queue", "nowhere"),
        lambda: store.keeping([("test:check", 1, Keep(7, 7))]),
        lambda: store.empty([(over.key, over.ended_at or 0)]),
        lambda: store.drop_history([emptied]),
    ]


def _refused(write: Callable[[], Any]) -> None:
    try:
        write()
    except StoreMoved as error:
        told = str(error)
    else:
        raise AssertionError("a store that is moving was written to")
    assert "elsewhere.db" in told, told


CHECKS: tuple[Check, ...] = (
    what_is_handed_over_is_as_it_was,
    life_goes_on_after_a_move,
    records_come_in_pages,
    what_was_loaded_is_loaded_once,
    only_what_is_coming_is_loaded,
    nobody_writes_to_a_store_that_is_moving,
)
