"""The process that imports the handlers and forks runners may end at any time, and as often as it likes."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from duly.app import App
from duly.core.action import Policy
from duly.core.estimate import RunTime
from duly.core.task import State
from duly.engine.attempt import Attempt, began, said
from duly.engine.cycle import Cycle
from duly.engine.worker import Worker
from duly.errors import HandlerUnavailable
from duly.ports import Request, Want
from duly.store.sqlite.store import SqliteStore
from duly.wire.runner import Said
from tests.engine.making import kinds, lane_of, submission
from tests.helpers import eventually

MODULE = """\
import os, threading
from pathlib import Path

here = Path(__file__).parent
if "DULY_NODE" in os.environ:
    with open(here / "imports", "a") as file:
        file.write("imported\\n")
    if (here / "exits").exists():
        os._exit(3)
    if (here / "raises").exists():
        raise RuntimeError("not today")

def die() -> None:
    os.kill(os.getpid(), 9)

def wait_for(name: str = "") -> None:
    with open(here / "begun", "a") as file:
        file.write("begun\\n")
    while name and not (here / name).exists():
        threading.Event().wait(0.01)
"""


class Place:
    """A module whose import does as files beside it say, an App with its handler, and the App's worker."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "gates.py").write_text(MODULE)
        module = importlib.import_module("gates")
        self.app = App(f"sqlite:///{folder}/tasks.db")
        self.action: Any = self.app.action("gate:wait", max_attempts=1)(module.wait_for)

    def lines(self, name: str) -> int:
        file = self.folder / name
        return len(file.read_text().splitlines()) if file.exists() else 0

    def kill_zygote(self) -> None:
        self.signal_zygote(signal.SIGKILL)

    def signal_zygote(self, number: int) -> None:
        for child in psutil.Process().children():
            if "duly.runner.zygote" in " ".join(child.cmdline()):
                os.kill(child.pid, number)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.syspath_prepend(tmp_path)
    place = Place(tmp_path)
    yield place
    place.app.close()
    del sys.modules["gates"]


def test_an_import_that_ends_its_process_is_said_at_the_start(place: Place) -> None:
    (place.folder / "exits").touch()
    worker: Worker = place.app.make_worker(1, None)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except HandlerUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    worker.stop()
    thread.join(20)
    assert [str(error) for error in errors] == ["the process that imports the handlers ended while it did so"]


def test_an_import_that_ends_its_process_later_on_is_tried_again_ever_more_rarely(place: Place) -> None:
    with place.app.worker(1):
        (place.folder / "exits").touch()
        known, since = place.lines("imports"), time.monotonic()
        place.kill_zygote()
        eventually(lambda: place.lines("imports") >= known + 5)
        assert time.monotonic() - since > 0.1 + 0.2 + 0.4 + 0.8
        (place.folder / "exits").unlink()
        place.action.submit().result(timeout=20)


def test_an_import_that_fails_leaves_no_node_behind(place: Place) -> None:
    (place.folder / "raises").touch()
    with pytest.raises(HandlerUnavailable), place.app.worker(1):
        pass
    assert place.app.nodes() == []


def test_one_that_does_not_answer_while_runners_are_wanted_is_replaced(
    place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("duly.runner.pool.ANSWER_SECONDS", 0.5)
    place.app.action("gate:die", max_attempts=1)(sys.modules["gates"].die)
    with place.app.worker(1):
        eventually(lambda: place.lines("imports") == 1)
        place.action.submit().result(timeout=20)
        place.signal_zygote(signal.SIGSTOP)
        dead = [place.app.submit("gate:die") for _ in range(3)]  # of the two runners there are one is left, then none
        place.action.submit().result(timeout=20)
        assert [task.wait(20).cause for task in dead] == 3 * ["died"]
    assert "has not answered" in caplog.text


def test_what_was_held_is_given_back_if_its_module_cannot_be_imported_any_more(place: Place) -> None:
    with place.app.worker(1):
        place.action.submit().result(timeout=20)
        first, second = place.app.submit_many(place.action.passport("gate") for _ in range(2))
        eventually(lambda: place.lines("begun") == 2)
        (place.folder / "raises").touch()
        place.kill_zygote()
        eventually(lambda: place.lines("imports") == 2)
        eventually(lambda: [handle.refresh().state for handle in (first, second)] == ["ready", "ready"])
        assert [place.app.look(handle.id)[0].attempt for handle in (first, second)] == [0, 0]


def test_what_an_attempt_told_just_before_it_was_lost_is_kept() -> None:
    store = SqliteStore(":memory:")
    store.open()
    lane, node = lane_of(store), store.enlist("node", "", "")
    store.exchange(Request(submits=[submission("task", lane)]))
    cycle = Cycle(node, lambda: 9, lambda _: None)
    reply = store.exchange(cycle.request([Want([lane], 1)]))
    cycle.answered(reply)
    attempt = Attempt(reply.claims[0], 0, Policy(), RunTime())
    began(attempt, 1.0, 5)
    said(attempt, Said(attempt.held.key, attempt.held.claim, "info", '{"pages":3}', "pages"), 6)
    cycle.note(attempt)

    cycle.lose(attempt)  # in the same turn: the note was not sent
    cycle.answered(store.exchange(cycle.request([])))
    (row,) = store.find(["task"])
    assert (State(row.state), row.attempt, row.losses) == (State.READY, 0, 1)
    assert (row.info, row.started_at) == ('{"pages":3}', 5)
    assert kinds(store, "task") == ["start", "info", "rescue"]
    store.close()
