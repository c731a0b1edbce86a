"""The store on SQLite keeps the contract of the port, in a file and in memory, by the system's clock and by another."""

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

import pytest

from duly.ports import Store
from duly.store.sqlite.store import SqliteStore
from duly.testing import CHECKS, Check, FakeClock, check_store

PORT = {name for name in vars(Store) if not name.startswith("_")} - {"patience", "lease"}


def opened(path: str, clock: FakeClock | None) -> SqliteStore:
    store = SqliteStore(path) if clock is None else SqliteStore(path, clock)
    store.open()
    return store


def again(store: Store, clock: FakeClock | None) -> SqliteStore:
    assert isinstance(store, SqliteStore)
    return opened(store.path, clock)


@pytest.mark.parametrize("clock", [None, FakeClock()], ids=["real", "fixed"])
@pytest.mark.parametrize("kind", ["file", "memory"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds(check: Check, kind: str, clock: FakeClock | None, tmp_path: Path) -> None:
    paths = (f"{tmp_path}/{number}.db" if kind == "file" else ":memory:" for number in count())
    beside: Callable[[Store], Store] | None = None if kind == "memory" else lambda store: again(store, clock)
    check_store(lambda: opened(next(paths), clock), [check], clock=clock, beside=beside)


def test_each_verb_of_the_port_is_asked_for(tmp_path: Path) -> None:
    asked: set[str] = set()

    class Noting(SqliteStore):
        def __getattribute__(self, name: str) -> object:
            asked.add(name)
            return super().__getattribute__(name)

    paths = (f"{tmp_path}/{number}.db" for number in count())
    clock = FakeClock()

    def open_one() -> Store:
        store = Noting(next(paths), clock)
        store.open()
        return store

    used_within = PORT - {"open"}
    check_store(open_one, _quick(CHECKS), clock=clock, beside=lambda store: again(store, clock))
    assert used_within <= asked


def _quick(checks: Sequence[Check]) -> list[Check]:
    """Those of thousands of tasks ask for nothing that others do not."""
    return [check for check in checks if check.__name__ != "many_fall_due_at_once"]
