from __future__ import annotations

from collections.abc import Iterator

import pytest

from duly.core.action import Policy
from duly.core.task import State, Suspicion
from duly.engine import rescue as module
from duly.engine.asking import ask
from duly.engine.rescue import rescue
from duly.engine.storethread import StoreThread
from duly.ports import NodeRow, Request, Want
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import asked, cancelled, kinds, lane_of, submission


class Scene:
    """A node that holds tasks and lives no more, and who finds it."""

    def __init__(self, thread: StoreThread) -> None:
        self.thread = thread
        self.lane = asked(thread, lane_of)
        self.swept: list[str] = []

    def dead(self, *tasks: str, name: str = "gone") -> NodeRow:
        if tasks:
            asked(self.thread, Request(submits=[submission(task, self.lane) for task in tasks]))
        node = asked(self.thread, lambda store: store.enlist(name, "", "there:1"))
        asked(self.thread, Request(node=node, number=1, wants=[Want([self.lane], 99)]))
        asked(self.thread, lambda store: store.abandon(node))
        (row,) = asked(self.thread, lambda store: store.dead())
        return row

    def rescue(self, dead: NodeRow) -> int:
        def sweep(name: str) -> int:
            assert all(row.state == State.RUNNING for row in self.rows("a")), "the processes first"
            self.swept.append(name)
            return 0

        return ask(self.thread, rescue(dead, sweep=sweep, policy=lambda _: Policy(), now=lambda: 1))

    def rows(self, *tasks: str) -> list:  # type: ignore[type-arg]
        return asked(self.thread, lambda store: store.find(tasks))


@pytest.fixture
def scene() -> Iterator[Scene]:
    thread = StoreThread(lambda: SqliteStore(":memory:"), DatagramBell, 60.0)
    yield Scene(thread)
    thread.close()


def test_all_that_a_dead_node_held_is_given_back_and_the_node_struck_off(scene: Scene) -> None:
    dead = scene.dead("a", "b")
    assert scene.rescue(dead) == 2
    rows = scene.rows("a", "b")
    assert {(row.state, row.attempt, row.losses, row.suspect) for row in rows} == {(State.READY, 0, 1, 0)}
    assert scene.swept == ["gone"]
    assert asked(scene.thread, lambda store: store.nodes()) == []


def test_it_is_done_in_steps(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEP", 2)
    assert scene.rescue(scene.dead("a", "b", "c", "d", "e")) == 5
    assert {row.state for row in scene.rows(*"abcde")} == {State.READY}


def test_what_two_nodes_were_lost_with_is_suspect(scene: Scene) -> None:
    for name, suspicion in (("first", Suspicion.NONE), ("second", Suspicion.SUSPECT)):
        scene.rescue(scene.dead(*(["a"] if name == "first" else []), name=name))
        assert scene.rows("a")[0].suspect == suspicion


def test_what_was_cancelled_meanwhile_ends(scene: Scene) -> None:
    dead = scene.dead("a")
    asked(scene.thread, lambda store: cancelled(store, "a"))
    assert scene.rescue(dead) == 1
    assert scene.rows("a")[0].state == State.CANCELLED


def test_of_two_that_rescue_at_once_one_misses_and_changes_nothing(scene: Scene) -> None:
    dead = scene.dead("a")
    slower = rescue(dead, sweep=lambda _: 0, policy=lambda _: Policy(), now=lambda: 1)
    held = asked(scene.thread, next(slower))
    assert scene.rescue(dead) == 1
    reply = asked(scene.thread, slower.send(held))
    assert asked(scene.thread, slower.send(reply)) == []
    asked(scene.thread, slower.send([]))
    with pytest.raises(StopIteration) as stopped:
        slower.send(None)
    assert stopped.value.value == 0
    assert asked(scene.thread, lambda store: kinds(store, "a")) == ["rescue"]
