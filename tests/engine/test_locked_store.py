"""While another process holds the store's lock, nobody but its thread waits in it: callers can still be reached."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from duly.app import App
from duly.errors import StoreBusy
from tests.helpers import eventually


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        app.submit("some:thing")
        yield app


@pytest.fixture
def lock(app: App, tmp_path: Path) -> Iterator[apsw.Connection]:
    """Another connection, which has the write lock until it rolls back."""
    other = apsw.Connection(str(tmp_path / "tasks.db"))
    other.execute("begin immediate")
    yield other
    other.close()


def test_a_submit_waits_for_the_lock_and_can_be_interrupted_at_once(app: App, lock: apsw.Connection) -> None:
    passport = app.passport("some:thing")
    since = time.monotonic()
    threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        app.submit(passport)
    assert time.monotonic() - since < 3
    lock.execute("rollback")
    eventually(lambda: passport.id in {task.id for task in app.tasks()})  # the thread had it, and goes on
    assert app.submit("some:thing").refresh().state == "ready"


def test_a_submit_goes_on_when_the_lock_is_free(app: App, lock: apsw.Connection) -> None:
    threading.Timer(0.3, lock.execute, ["rollback"]).start()
    assert app.submit("some:thing").refresh().state == "ready"


def test_who_does_not_wait_for_the_answer_is_not_held_up(app: App, lock: apsw.Connection) -> None:
    told = threading.Event()
    since = time.monotonic()
    app._thread.do(lambda store: store.lanes([("default", "some:new", 1)]), lambda _, error: error or told.set())
    assert time.monotonic() - since < 1
    assert not told.is_set()
    lock.execute("rollback")
    assert told.wait(30)


def test_a_lock_that_is_never_free_is_an_error_in_the_end(
    app: App, lock: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.in_transaction
    monkeypatch.setattr("duly.engine.storethread.PATIENCE", 0.3)
    with pytest.raises(StoreBusy):
        app.submit("some:thing")
    with pytest.raises(StoreBusy):
        asyncio.run(app.asubmit("some:thing"))
