"""The store on SQLite keeps the contract of the port, in a file and in memory."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duly.store.sqlite.store import SqliteStore
from duly.testing import CHECKS, Check, check_store


@pytest.fixture(params=["file", "memory"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], SqliteStore]]:
    def open_it() -> SqliteStore:
        store = SqliteStore(str(tmp_path / "tasks.db") if request.param == "file" else ":memory:")
        store.open()
        return store

    return open_it


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds(check: Check, open_store: Callable[[], SqliteStore]) -> None:
    check_store(open_store, [check])
