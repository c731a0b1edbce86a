"""Ended tasks leave the store when their time is over, with all they had; whoever removes them may be killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import duly
from tests.helpers import eventually
from tests.place import ON_BOTH, Place, url_for

LARGE = "x" * 200_000
app = duly.App(keep="1h")


@app.action("note:forget", keep=0, keep_failed=0, max_attempts=1)
def forget(text: str) -> str:
    if text == "no":
        raise ValueError(text)
    return text


@app.action("note:keep", keep_failed=0)
def keep(text: str) -> str:
    return text


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, f"{__name__}:app", url_for(request))
    yield place
    place.end()


@ON_BOTH
def test_it_is_gone_with_all_it_had_and_is_not_run_again(place: Place) -> None:
    passport = place.app.passport("note:forget", {"text": LARGE})
    gone = [place.app.submit(passport), place.app.submit("note:forget", "no")]
    kept = place.app.submit("note:keep", LARGE)
    place.start("-c", "1")
    eventually(lambda: [task.id for task in place.app.tasks()] == [kept.id])
    for handle in gone:
        with pytest.raises(duly.TaskNotFound, match="was removed since"):
            handle.result(timeout=30)
        with pytest.raises(duly.TaskNotFound, match="was removed since"):
            handle.retry()
        assert handle.cancel() == "ended"
    again = place.app.submit(passport)
    assert again.state == "succeeded"
    with pytest.raises(duly.TaskNotFound, match="was removed since"):
        again.wait(30)
    assert kept.result() == LARGE


def test_another_worker_goes_on_when_the_one_that_removes_is_killed(place: Place) -> None:
    workers = [place.start("-c", "1") for _ in range(2)]
    for worker in workers:
        task = place.app.submit("note:forget", "a")
        eventually(lambda task=task: task.id not in {one.id for one in place.app.tasks()})  # type: ignore[misc]
        worker.kill()
