from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.keeping import HOUR, NEVER, Keep
from duly.core.outcome import Failure, Success
from duly.core.task import Held
from duly.engine import keeper
from duly.engine.keeper import Keeper
from duly.errors import StoreFull
from duly.ports import Request, Want
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import lane_of, submission

KEEP = Keep(2 * HOUR, 5 * HOUR)


class Shelf:
    """A store whose tasks end when they are told to, and its keeper; all by one clock."""

    def __init__(self, path: Path) -> None:
        self.at = 1_000 * HOUR
        self.store = SqliteStore(str(path), lambda: self.at)
        self.store.open()
        self.lane = lane_of(self.store)
        self.node = self.store.enlist("me", "", "")
        self.number = 0
        self.keeper = Keeper(KEEP, lambda: self.at)
        self.ends: dict[str, tuple[int, int]] = {}

    def submit(self, *ids: str, lane: int | None = None) -> None:
        self.store.exchange(Request(submits=[submission(one, lane or self.lane) for one in ids]))

    def exchange(self, **request: Any) -> list[Held]:
        reply = self.store.exchange(Request(node=self.node, number=self.number + 1, **request))
        self.number += reply.counted
        return reply.claims

    def end(self, most: int = 1000, *, fail: bool = False) -> None:
        """End so many tasks; the others stay ready."""
        lanes = [lane.number for lane in self.store.lanes()]
        held = self.exchange(wants=[Want(lanes, most)])
        outcome = Failure("no", retry=False) if fail else Success('"yes"')
        self.exchange(
            changes=[lifecycle.finish(one, Policy(), outcome, self.at, 0.5, started_at=self.at) for one in held]
        )
        length = KEEP.failed if fail else KEEP.ended
        assert length is not None
        self.ends |= {one.id: (self.at, length) for one in held}

    def tidy(self) -> float:
        """Do all steps that are due; return for how long none is."""
        while not (rest := self.keeper.advance(self.store)):
            pass
        return rest

    def emptied(self, *ids: str) -> dict[str, bool]:
        """Of those that are left, whether they are emptied."""
        return {row.id: row.seq == 0 for row in self.store.find(ids)}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    shelf = Shelf(tmp_path / "tasks.db")
    yield shelf
    shelf.store.close()


def test_a_task_is_emptied_when_its_time_is_over_and_removed_an_hour_later(shelf: Shelf) -> None:
    shelf.submit("old")
    shelf.end()
    shelf.submit("new")
    for hours, left in ((0, {"old": False}), (2, {"old": True}), (1, {})):
        shelf.at += hours * HOUR
        shelf.tidy()
        assert shelf.emptied("old") == left
    assert shelf.emptied("new") == {"new": False}
    assert shelf.keeper.tidied == (1, 1)


def test_nothing_is_written_before_anything_is_due(shelf: Shelf) -> None:
    shelf.submit("old", "new")
    shelf.end()
    shelf.at += 2 * HOUR - 1
    shelf.tidy()
    assert shelf.keeper.tidied == (0, 0)


def test_the_newest_is_emptied_but_its_row_stays_and_that_is_no_work_for_ever(shelf: Shelf) -> None:
    shelf.submit("newest")
    shelf.end()
    shelf.at += 9 * HOUR
    assert shelf.tidy() >= keeper.SECOND
    assert shelf.emptied("newest") == {"newest": True}
    shelf.submit("next")
    shelf.at += 1_000_000
    shelf.tidy()
    assert shelf.emptied("newest") == {}


def test_where_nothing_is_kept_it_rests_though_many_tasks_wait(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK", 10)
    shelf.keeper = Keeper(Keep(0, 0), lambda: shelf.at)
    shelf.submit(*(f"waits-{number}" for number in range(55)))
    for _ in range(3):
        rests = [shelf.keeper.advance(shelf.store) for _ in range(20)]
        assert rests[-1] == keeper.SECOND
        shelf.at += round(keeper.SECOND * 1e6)


def test_all_are_looked_through_though_each_look_takes_longer_than_nothing_is_kept(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or those at the front would be looked at again and again, and those behind never."""
    monkeypatch.setattr(keeper, "LOOK", 10)
    shelf.keeper = Keeper(Keep(0, 0), lambda: shelf.at)
    shelf.submit(*(f"waits-{number}" for number in range(55)))
    shelf.store.exchange(Request(submits=[submission("ends", shelf.lane, band=0), submission("last", shelf.lane)]))
    shelf.end(1)
    for _ in range(20):
        shelf.keeper.advance(shelf.store)
        shelf.at += round(2 * keeper.SECOND * 1e6)
    assert shelf.emptied("ends") == {"ends": True}


def test_actions_are_kept_as_the_worker_said_that_began_last(shelf: Shelf) -> None:
    (other,) = (lane.number for lane in shelf.store.lanes([("default", "mail:send", 1)]) if lane.action == "mail:send")
    shelf.store.keeping([("mail:send", 1, Keep(None, None)), ("test:it", 1, Keep(0, 0))])
    shelf.submit("kept", lane=other)
    shelf.submit("gone", "ready")
    shelf.end(2)
    shelf.at += 10
    shelf.tidy()
    assert shelf.emptied("kept", "gone") == {"kept": False, "gone": True}
    shelf.at += 2 * HOUR
    shelf.store.keeping([("mail:send", 1, Keep(HOUR, HOUR))])
    shelf.tidy()
    assert shelf.emptied("kept", "gone") == {"kept": True}


def test_a_worker_that_keeps_otherwise_than_the_one_before_says_so(
    shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    keeper.note(shelf.store, [("test:it", 1, Keep())])
    keeper.note(shelf.store, [("test:it", 1, Keep())])
    assert caplog.messages == []
    keeper.note(shelf.store, [("test:it", 1, Keep(0, None))])
    (line,) = caplog.messages
    assert line.endswith("test:it for 0s, failed for good (until now 7d, failed 30d)")
    assert keeper.noted(shelf.store) == {("test:it", 1): Keep(0, None)}


def test_what_failed_and_was_retried_is_kept_from_its_new_end(shelf: Shelf) -> None:
    shelf.submit("again")
    shelf.end(fail=True)
    shelf.submit("last")
    shelf.at += 3 * HOUR
    shelf.tidy()
    shelf.store.exchange(Request(retries=["again"]))
    shelf.at += 3 * HOUR
    shelf.tidy()
    shelf.end(fail=True)
    shelf.at += 4 * HOUR
    shelf.tidy()
    assert shelf.emptied("again") == {"again": False}


def test_a_long_history_and_large_values_go_in_pieces(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duly.store.sqlite.upkeep.EVENTS", 10)
    monkeypatch.setattr(keeper, "CHUNKS", 1)
    large = '"' + "x" * 3_000_000 + '"'
    shelf.submit("old", "last")
    (held,) = shelf.exchange(wants=[Want([shelf.lane], 1)])
    for _ in range(35):
        shelf.exchange(changes=[lifecycle.note(held, [("update", shelf.at, {"data": 1})])])
    shelf.exchange(changes=[lifecycle.finish(held, Policy(), Success(large), shelf.at, 0.5, started_at=1)])
    shelf.at += 2 * HOUR
    steps = 0
    while not shelf.keeper.advance(shelf.store):
        steps += 1
    assert shelf.emptied("old") == {"old": True}
    assert shelf.store.events("old", 0, 99) == []
    assert steps >= 1 + 3 + 4, "a look, three pieces of the value, four of the history"
    assert rows(shelf, "chunk") == rows(shelf, "loose") == 0


def rows(shelf: Shelf, table: str) -> int:
    assert shelf.store._connection is not None
    ((count,),) = shelf.store._connection.execute(f"select count(*) from {table}").fetchall()
    assert isinstance(count, int)
    return count


def test_a_store_that_cannot_be_written_is_tried_again_later(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.submit("old", "last")
    shelf.end()
    shelf.at += 2 * HOUR
    with monkeypatch.context() as patch:

        def full(_tasks: object) -> list[int]:
            raise StoreFull("no space")

        patch.setattr(shelf.store, "empty", full)
        while not (rest := shelf.keeper.step(shelf.store)):
            pass
        while rest < keeper.TROUBLE_SECONDS:
            rest = shelf.keeper.step(shelf.store)
    while shelf.keeper.step(shelf.store) < keeper.SECOND:
        pass
    assert shelf.emptied("old") == {"old": True}


def test_who_does_not_keep_the_store_does_nothing(shelf: Shelf) -> None:
    shelf.submit("old", "last")
    shelf.end()
    shelf.at += 2 * HOUR
    other = SqliteStore(shelf.store.path)
    other.open()
    assert other.tidy()
    assert shelf.keeper.step(shelf.store) > keeper.SECOND
    other.close()
    while shelf.keeper.step(shelf.store) < keeper.SECOND:
        pass
    assert shelf.emptied("old") == {"old": True}


@pytest.mark.parametrize("steps", range(12))
def test_whoever_goes_on_after_any_step_leaves_nothing_behind(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    monkeypatch.setattr(keeper, "CHUNKS", 1)
    large = '"' + "x" * 3_000_000 + '"'
    shelf.submit("old", "other", "last")
    held = shelf.exchange(wants=[Want([shelf.lane], 2)])
    shelf.exchange(
        changes=[lifecycle.finish(one, Policy(), Success(large), shelf.at, 0.5, started_at=1) for one in held]
    )
    shelf.at += 2 * HOUR
    for _ in range(steps):
        shelf.keeper.advance(shelf.store)
    shelf.keeper = Keeper(KEEP, lambda: shelf.at)
    shelf.at += HOUR
    shelf.tidy()  # what was emptied late is removed at once: its hour counts from when its time was over
    shelf.at += 2 * HOUR
    shelf.tidy()
    assert shelf.emptied("old", "other", "last") == {"last": False}
    shelf.store.enlist("who sweeps", "", "")
    assert rows(shelf, "event") == rows(shelf, "chunk") == rows(shelf, "loose") == 0


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_just_what_is_due_is_gone(shelf: Shelf, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(keeper, "LOOK", 7)
    monkeypatch.setattr(keeper, "WRITE", 3)
    dice = random.Random(seed)
    made: list[str] = []
    for turn in range(60):
        new = [f"{turn}-{place}" for place in range(dice.randrange(12))]
        made += new
        if new:
            shelf.submit(*new)
        if dice.random() < 0.7:
            shelf.end(dice.randrange(1, 12), fail=dice.random() < 0.3)
        shelf.at += dice.choice((0, 1, HOUR // 3, HOUR, 2 * HOUR))
        if dice.random() < 0.1:  # another process takes over
            shelf.keeper = Keeper(KEEP, lambda: shelf.at)
        shelf.at += round(keeper.SECOND * 1e6)
        shelf.tidy()
        wanted = {}
        for one in made:
            at, length = shelf.ends.get(one, (NEVER, 0))
            if at + length + HOUR > shelf.at or one == made[-1]:
                wanted[one] = at + length <= shelf.at
        assert shelf.emptied(*made) == wanted
    assert len(shelf.keeper._calendar) < 3 + len(shelf.emptied(*made)) / 3, "stretches of few tasks are made one"
