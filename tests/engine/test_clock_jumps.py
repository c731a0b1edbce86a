"""The store's clock may be set, and a machine may sleep: what is due by it is begun soon."""

from __future__ import annotations

import threading
from pathlib import Path

from duly.app import App
from duly.engine import storethread
from duly.store.sqlite.bell import DatagramBell
from duly.store.sqlite.file import wall_clock
from duly.store.sqlite.store import SqliteStore
from tests.helpers import eventually

HOUR = 3_600_000_000


def nothing() -> None: ...


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
