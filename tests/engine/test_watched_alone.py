"""A task that was on two lost nodes is watched alone; all else is as with any other task."""

from __future__ import annotations

from pathlib import Path

import pytest

import duly
from duly.app import App
from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.task import Suspicion
from duly.ports import Request, Want
from duly.store.sqlite.file import wall_clock
from duly.store.sqlite.store import SqliteStore


def spin() -> None:
    while True:
        pass


def nothing() -> None: ...


def lose_nodes(path: Path, times: int, *, watched: bool = False) -> None:
    """Have the store's tasks be on so many nodes that are lost, and on a last one that has begun to watch them."""
    store = SqliteStore(str(path))
    store.open()
    lanes = [lane.number for lane in store.lanes()]
    for _ in range(times):
        node = store.enlist(f"lost {_}", "", "")
        claims = store.exchange(Request(node=node, number=1, wants=[Want(lanes, 1)])).claims
        store.exchange(Request(changes=[lifecycle.rescue(held, Policy(), wall_clock(), 0.5) for held in claims]))
        store.leave(node)
    if watched:
        node = store.enlist("last", "", "")
        want = Want(lanes, 1, suspect=True)
        claims = store.exchange(Request(node=node, number=1, wants=[want])).claims
        notes = [lifecycle.note(held, [("start", 1, None)], started_at=1) for held in claims]
        store.exchange(Request(node=node, number=2, changes=notes))
        store.abandon(node)
    store.close()


def test_its_time_limit_holds(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        handle = app.action("wheel:spin", timeout=0.3, grace=0.2, max_attempts=1)(spin).submit()
        lose_nodes(tmp_path / "tasks.db", 2)
        assert app.look(handle.id)[0].suspect == Suspicion.SUSPECT
        with app.worker(1), pytest.raises(duly.TaskTimedOut):
            handle.result(timeout=20)


def test_cancelled_before_a_runner_is_ready_for_it_it_ends_without_being_begun(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        handle = app.action("wheel:spin")(spin).submit()
        lose_nodes(tmp_path / "tasks.db", 2)
        handle.cancel("enough")
        with app.worker(1), pytest.raises(duly.TaskCancelled):
            handle.result(timeout=20)
        assert "start" not in [event.kind for event in handle.events()]


def test_a_node_that_starts_rescues_by_what_the_action_says(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        handle = app.action("wheel:spin", max_attempts=1)(spin).submit()
        lose_nodes(tmp_path / "tasks.db", 2, watched=True)
        with app.worker(1), pytest.raises(duly.TaskDied, match="its node was lost"):
            handle.result(timeout=20)


def test_it_has_its_turn_also_where_there_is_always_other_work(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("nothing:do")(nothing)
        suspect = action.submit()
        lose_nodes(tmp_path / "tasks.db", 2)
        app.submit_many(action.passport() for _ in range(40_000))
        with app.worker(1):
            suspect.result(timeout=60)
            assert next(app.tasks(state="ready", first=1), None) is not None
