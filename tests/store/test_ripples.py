"""Whoever waits feels what others tell in histories, without being known to them."""

from __future__ import annotations

import ctypes
import os
import select
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from duly.ports import CancelAsked, Request
from duly.store.sqlite.ripples import FileRipples
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands


@pytest.fixture
def ripples(store: SqliteStore) -> Iterator[FileRipples]:
    ripples = store.ripples()
    assert ripples is not None
    yield ripples
    ripples.close()


def felt(ripples: FileRipples, seconds: float = 0.0) -> bool:
    return bool(select.select([ripples], [], [], seconds)[0])


def test_what_another_process_tells_is_felt(ripples: FileRipples, start: Callable[..., Any]) -> None:
    start("Hands(opened()).cancel(Hands(opened()).submit())")
    assert felt(ripples, 30)


def test_many_ripples_are_taken_in_at_once(store: SqliteStore, ripples: FileRipples) -> None:
    hands = Hands(store)
    for _ in range(3):
        hands.cancel(hands.submit())
    assert felt(ripples)
    ripples.silence()
    assert not felt(ripples)
    ripples.silence()


def test_what_no_history_tells_is_not_felt(store: SqliteStore, ripples: FileRipples) -> None:
    hands = Hands(store)
    hands.submit()
    hands.claim_one()
    store.find(["x"])
    assert not felt(ripples)


def test_a_ripple_leaves_nothing_to_be_written(store: SqliteStore, path: str) -> None:
    before = os.stat(path + "-duly")
    store.exchange(Request(cancels=[CancelAsked("unknown", "")]))
    after = os.stat(path + "-duly")
    assert (after.st_mtime_ns, after.st_ctime_ns) == (before.st_mtime_ns, before.st_ctime_ns)


def test_a_side_file_of_before_is_made_such_that_it_can_be_touched(open_store: Any, path: str) -> None:
    open(path + "-duly", "wb").close()
    store = open_store()
    ripples = store.ripples()
    store.exchange(Request(cancels=[CancelAsked("unknown", "")]))
    assert felt(ripples)
    ripples.close()


def test_where_none_can_be_felt_the_store_says_so(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    os.remove(path + "-duly")
    assert store.ripples() is None, "there is nothing to watch"
    monkeypatch.setattr(ctypes, "CDLL", lambda *_args, **_more: object())
    assert store.ripples() is None, "the system has no inotify"


def test_a_store_in_memory_has_none() -> None:
    store = SqliteStore(":memory:")
    store.open()
    assert store.ripples() is None
    store.close()
