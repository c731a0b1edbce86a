"""The write-ahead log stays short beside a writer that never rests, and in the way of no reader."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from duly.errors import StoreUnavailable
from duly.ports import Request
from duly.store.sqlite import checkpoint
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
from tests.helpers import eventually

PAGE = 4096 + 24


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FRAMES", 100)
    monkeypatch.setattr(checkpoint, "FEW", 50)


def written(hands: Hands, commits: int) -> None:
    for _ in range(commits):
        hands.submit()


def test_the_log_is_begun_anew_while_one_process_writes_on_and_on(store: SqliteStore, path: str) -> None:
    hands = Hands(store)
    written(hands, 600)
    sizes = os.path.getsize(f"{path}-wal") / PAGE
    assert sizes < 600, f"the log has grown to {sizes:.0f} pages"


def test_a_reader_holds_the_log_but_no_writer(open_store: Callable[..., SqliteStore], path: str) -> None:
    writer, reader = open_store(), open_store()
    hands = Hands(writer)
    written(hands, 10)
    assert reader._connection is not None
    reader._connection.execute("begin")
    before = len(reader.find([]))
    reader._connection.execute("select count(*) from task").fetchall()
    written(hands, 500)
    grown = os.path.getsize(f"{path}-wal")
    assert grown > 500 * PAGE
    assert len(reader.find([])) == before
    reader._connection.execute("rollback")

    def begun_anew() -> bool:
        written(hands, 10)
        return writer._checkpointer is not None and writer._checkpointer._frames < 100

    eventually(begun_anew)
    grown = os.path.getsize(f"{path}-wal")
    written(hands, 50)
    assert os.path.getsize(f"{path}-wal") == grown  # the same file, written over


def test_all_is_in_the_one_file_after_the_last_has_closed_it(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "tasks.db"))
    store.open()
    hands = Hands(store)
    written(hands, 300)
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["tasks.db", "tasks.db-duly"]
    store.open()
    assert len(Hands(store).claim(1_000)) == 300
    store.close()


def test_what_is_committed_stays_so_if_no_thread_can_be_had(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_more(_: object) -> None:
        raise RuntimeError("can't start new thread")

    hands = Hands(store)
    with monkeypatch.context() as refusing:
        refusing.setattr("threading.Thread.start", no_more)
        written(hands, 300)
    assert store._checkpointer is not None
    frames = store._checkpointer._frames
    assert frames > 300
    eventually(lambda: [written(hands, 10), store._checkpointer._frames < frames][1])  # type: ignore[union-attr]
    assert store.exchange(Request()).done


def test_a_log_that_could_not_be_emptied_is_emptied_later(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    hands, checkpointer = Hands(store), store._checkpointer
    assert checkpointer is not None
    tried = threading.Event()

    def refuse() -> None:
        tried.set()
        raise StoreUnavailable("no descriptor is left")

    with monkeypatch.context() as refusing:
        refusing.setattr(checkpointer, "_open_beside", refuse)
        eventually(lambda: [written(hands, 10), tried.is_set()][1])
        eventually(lambda: not checkpointer._under_way)
    frames = checkpointer._frames
    eventually(lambda: [written(hands, 10), checkpointer._frames < frames][1])
