"""A store that is deleted or replaced while it is used is written no more, and nothing of the new one is harmed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duly.app import App
from duly.errors import StoreUnavailable
from duly.ports import Request
from duly.store.sqlite import whereabouts
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "SECONDS", 0.0)


@pytest.fixture
def used(store: SqliteStore) -> Iterator[SqliteStore]:
    Hands(store).submit("before")
    yield store
    store.close()


def moved(path: str, suffix: str) -> None:
    os.rename(path + suffix, f"{path}{suffix}.gone")


@pytest.mark.parametrize("suffix", ["", "-wal", "-duly"])
def test_a_store_is_used_no_more_after_one_of_its_files_was_moved(used: SqliteStore, path: str, suffix: str) -> None:
    moved(path, suffix)
    for verb in (lambda: used.exchange(Request()), lambda: used.find(["before"]), used.version, used.dead):
        with pytest.raises(StoreUnavailable, match=f"{path}{suffix}: was deleted or moved while it was in use"):
            verb()


def test_a_new_store_in_its_place_is_not_touched(used: SqliteStore, path: str) -> None:
    for suffix in ("", "-wal", "-shm", "-duly"):
        moved(path, suffix)
    new = SqliteStore(path)
    new.open()
    number = Hands(new).enlist()
    with pytest.raises(StoreUnavailable, match="was replaced while it was in use"):
        used.exchange(Request())
    used.close()
    assert sorted(os.listdir(os.path.dirname(path))) == sorted(
        os.path.basename(path) + suffix
        for suffix in ("", "-wal", "-shm", "-duly", ".gone", "-wal.gone", "-shm.gone", "-duly.gone")
    )
    other = SqliteStore(path)
    other.open()
    assert other.find(["before"]) == []
    assert [node.number for node in other.nodes()] == [number]
    assert other.dead() == []
    other.close()
    new.close()


def test_nothing_is_made_anew_after_a_fork(used: SqliteStore, path: str) -> None:
    used.let_go()
    moved(path, "")
    with pytest.raises(StoreUnavailable, match="deleted or moved"):
        used.exchange(Request())
    assert not os.path.exists(path)


def test_a_store_that_was_let_go_of_is_opened_again(used: SqliteStore, path: str) -> None:
    used.let_go()
    assert not os.path.exists(f"{path}-wal")
    assert [row.id for row in used.find(["before"])] == ["before"]


def test_an_app_tells_whoever_submits_or_waits(tmp_path: Path) -> None:
    path = f"{tmp_path}/tasks.db"
    with App(f"sqlite:///{path}") as app:
        task = app.submit("some:thing")
        moved(path, "")
        for verb in (lambda: app.submit("some:thing"), lambda: task.result(timeout=30), task.refresh):
            with pytest.raises(StoreUnavailable, match="put the store back, then start this program again"):
                verb()
    os.rename(f"{path}.gone", path)
    with App(f"sqlite:///{path}") as app:
        assert app.handle(task.id).refresh().state == "ready"


def test_it_is_looked_at_once_a_second(open_store: Callable[..., SqliteStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whereabouts, "SECONDS", 3600.0)
    store = open_store()
    looked: list[str] = []
    monkeypatch.setattr(whereabouts, "_identity", looked.append)
    Hands(store).submit()
    assert looked == []
