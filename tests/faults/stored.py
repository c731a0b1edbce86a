"""What a store holds, and whether it still does all that it should."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duly.core import lifecycle
from duly.ports import Request
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import POLICY, Hands, ended

TABLES = (("lane", "number"), ("pause", "kind, name"), ("node", "number"), ("task", "key"), ("event", "task, first"))


@contextmanager
def opened(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(path))
    store.open()
    try:
        yield store
    finally:
        store.close()


def stored(store: SqliteStore) -> dict[str, list[Any]]:
    """All that a store holds, large values whole."""
    connection = store._connected()
    found = {name: connection.execute(f"select * from {name} order by {order}").fetchall() for name, order in TABLES}
    large = connection.execute("select key from task where payload like '#%' or value like '#%'").fetchall()
    found["task"] = [[_unnumbered(value) for value in row] for row in found["task"]]
    found["large"] = [(key, store.large(key, "payload"), store.large(key, "value")) for (key,) in large]
    return found


def _unnumbered(value: Any) -> Any:
    """A reference to pieces of a large value without their numbers, which another try does not use again."""
    return "#" if isinstance(value, str) and value.startswith("#[") else value


def goes_on(store: SqliteStore) -> None:
    """What the dead held is given back, and all that is ready can be claimed and done."""
    hands = Hands(store)
    for dead in store.dead():
        while held := store.held(dead.number, 1_000):
            store.exchange(Request(changes=[lifecycle.rescue(one, POLICY, 7, 0.5) for one in held]))
        store.leave(dead.number)
    new = hands.submit()
    claimed = hands.claim(1_000)
    assert new in {held.id for held in claimed}
    assert hands.change(*(ended(held) for held in claimed)).misses == []


def sound(store: SqliteStore) -> bool:
    return all(finding.ok for finding in store.examine())
