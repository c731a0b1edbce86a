"""A backup made beside workers is a store by itself: what ran in it is rescued, who runs elsewhere is left alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import duly
from tests.helpers import alive, eventually
from tests.place import Place


@pytest.fixture
def places(tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    first, second = Place(tmp_path / "first"), Place(tmp_path / "second")
    yield first, second
    second.end()
    first.end()


def test_what_ran_in_it_is_begun_again_where_it_is_used_and_goes_on_where_it_was(places: tuple[Place, Place]) -> None:
    first, second = places
    running = first.app.submit("shop:hang", {"log": first.log})
    waiting = first.app.submit("shop:echo", "x" * 200_000)
    first.start("-c", "1")
    eventually(first.lines)
    first.app.backup(second.folder / "duly.db")
    second.start("-c", "2")
    eventually(lambda: len(first.lines()) == 2)
    pid, again = (int(line) for line in first.lines())
    assert alive(pid), "a worker on the copy has killed the processes of one that lives"
    assert alive(again)
    assert (first.row(running).losses, second.row(running).losses) == (0, 1)
    assert second.app.handle(waiting.id).result(timeout=30) == "x" * 200_000
    assert waiting.refresh().state == "ready"
    for place in places:
        assert place.app.handle(running.id).cancel(wait=30) == "asked"


def test_all_that_was_accepted_before_it_began_is_in_it_and_comes_to_its_end(places: tuple[Place, Place]) -> None:
    first, second = places
    first.start("-c", "2")
    before = [first.app.submit("shop:echo", number) for number in range(50)]
    over, later = threading.Event(), list[duly.Handle[object]]()

    def go_on() -> None:
        while not over.is_set():
            later.append(first.app.submit("shop:echo", len(later)))

    submitter = threading.Thread(target=go_on)
    submitter.start()
    try:
        eventually(lambda: len(later) > 50)
        acknowledged = list(later)
        first.app.backup(second.folder / "duly.db")
    finally:
        over.set()
        submitter.join()
    second.start("-c", "2")
    assert [second.app.handle(one.id).result(timeout=30) for one in before] == list(range(50))
    results = [second.app.handle(one.id).result(timeout=30) for one in acknowledged]
    assert results == list(range(len(acknowledged)))
    assert {task.state for task in second.app.tasks()} == {"succeeded"}
