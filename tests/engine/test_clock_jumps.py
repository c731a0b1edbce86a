"""The store's clock may be set, and a machine may sleep: what is due by it is begun soon."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.app import App
from duly.engine import storethread
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.file import wall_clock
from duly.store.sqlite.store import SqliteStore
from tests.helpers import eventually

HOUR = 3_600_000_000


def nothing() -> None: ...


def fail_once(task: duly.Task, gate: str) -> float:
    """Begin, wait until told, and fail the first time; answer when it ran for the second time."""
    if task.attempt == 1:
        _wait(gate)
        raise ValueError("not yet")
    return time.monotonic()


def snooze_once(gate: str) -> float | duly.Snooze:
    if not os.path.exists(f"{gate}.slept"):
        _wait(gate)
        open(f"{gate}.slept", "x").close()
        return duly.Snooze(0.3)
    return time.monotonic()


def _wait(gate: str) -> None:
    open(f"{gate}.begun", "x").close()
    eventually(lambda: os.path.exists(gate))


class Stepped:
    """An App whose store's clock is stepped by a test, `ahead` in microseconds."""

    def __init__(self, folder: Path) -> None:
        self.ahead = 0
        path = str(folder / "tasks.db")
        self.app = App(f"sqlite:///{path}", poll=1.0)
        self.app._thread = storethread.StoreThread(
            lambda: SqliteStore(path, clock=lambda: wall_clock() + self.ahead), DatagramBell, 1.0
        )


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Stepped]:
    stepped = Stepped(tmp_path)
    with stepped.app:
        yield stepped


@pytest.mark.parametrize("handler", [fail_once, snooze_once])
@pytest.mark.parametrize("hours", [-24, 24])
def test_a_wait_that_begins_after_a_step_of_the_clock_is_as_long_as_was_said(
    stepped: Stepped, tmp_path: Path, hours: int, handler: Any
) -> None:
    app, gate = stepped.app, tmp_path / "gate"
    handle = app.action("clock:fail", retry=duly.Backoff(first=0.3, most=0.3, jitter=False))(handler).submit(str(gate))
    with app.worker(1):
        eventually((tmp_path / "gate.begun").exists)
        stepped.ahead += hours * HOUR
        gate.touch()
        told = time.monotonic()
        waited = handle.result(timeout=10) - told
    assert 0.29 < waited < 3


def test_what_was_due_in_an_hour_is_begun_when_the_clock_has_been_put_forward(tmp_path: Path) -> None:
    ahead = [0]

    def make_store() -> SqliteStore:
        return SqliteStore(str(tmp_path / "tasks.db"), clock=lambda: wall_clock() + ahead[0])

    app = App(f"sqlite:///{tmp_path}/tasks.db", poll=0.1)
    app._thread = storethread.StoreThread(make_store, DatagramBell, 0.1)
    with app:
        handle = app.action("nothing:do")(nothing).using(delay="1h").submit()
        with app.worker(1):
            threading.Event().wait(0.5)  # it has looked, and has polled
            assert handle.refresh().state == "scheduled"
            ahead[0] = 2 * HOUR
            assert eventually(lambda: handle.refresh().state == "succeeded", 10)
