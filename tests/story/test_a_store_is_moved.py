"""A store moves while what moves it is killed again and again: nothing is lost, and there all comes to its end."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import duly
from duly.config import load
from duly.core.record import Record
from duly.engine import mover
from duly.ports import Inventory
from duly.stores import place_of
from duly.testing.store_moves import dumped
from tests.helpers import eventually
from tests.place import ROOT, SOAK, Place
from tests.server import Server

KILLS = 5 if SOAK else 2
TASKS = 600
BATCH = 20

CARRY = f"""
import sys
import duly
from duly.engine import mover
mover.MOST = {BATCH}
def step(progress):
    print(progress.what, flush=True)
    sys.stdin.readline()
with duly.App(sys.argv[1]) as app:
    print(app.copy_to(sys.argv[2], watch=step).resumed, flush=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.end()


@pytest.fixture(params=["file", "server"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where it moves to."""
    return f"sqlite:///{tmp_path}/new.db" if request.param == "file" else str(request.getfixturevalue("database"))


@pytest.mark.timeout(240)
def test_all_kinds_of_tasks_move_there_and_back_through_kills(place: Place, target: str, tmp_path: Path) -> None:
    made = at_work(place)
    before = kept(place.url)
    seed = random.randrange(1 << 32)
    carry(place.app, place.url, target, random.Random(seed))
    there = kept(target)
    assert there == before, f"what came is something else, with seed {seed}"
    back = f"sqlite:///{tmp_path}/back.db"
    with duly.App(target) as app:
        carry(app, target, back, random.Random(seed + 1))
        assert kept(back) == before, f"what came back is something else, with seed {seed + 1}"
        assert app.reopen()
    work_off(place, target, made)


@pytest.mark.parametrize("source", ["file", "server"])
def test_all_that_was_accepted_while_it_began_is_moved(
    source: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/old.db" if source == "file" else str(request.getfixturevalue("database"))
    submitters = [Submitter(url) for _ in range(4)]
    eventually(lambda: all(len(one.accepted) > 20 or one.refused for one in submitters))
    with duly.App(url) as app:
        app.copy_to(f"sqlite:///{tmp_path}/new.db")
    ids = [task_id for one in submitters for task_id in one.ended()]
    assert sorted(ids) == sorted(record.id for record in kept(f"sqlite:///{tmp_path}/new.db")[0])


class Submitter:
    """Submits tasks, one after another, until the store says that it moves."""

    def __init__(self, url: str) -> None:
        self.accepted: list[str] = []
        self._app = duly.App(url)
        self.refused: list[duly.DulyError] = []
        self._thread = threading.Thread(target=self._submit)
        self._thread.start()

    def _submit(self) -> None:
        with self._app:
            try:
                while True:
                    self.accepted.append(self._app.submit("shop:echo", 1).id)
            except duly.DulyError as error:
                self.refused.append(error)

    def ended(self) -> list[str]:
        """The ids of all tasks that were accepted, now that no more are."""
        self._thread.join(30)
        (error,) = self.refused
        assert isinstance(error, duly.StoreMoved), error
        return self.accepted


def test_a_server_may_stop_while_a_store_moves_to_it(
    own_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "MOST", BATCH)
    stops = 0

    def stop(progress: mover.Progress) -> None:
        nonlocal stops
        if progress.done % (5 * BATCH) == 0:
            stops += 1
            own_server.kill()
            own_server.start()

    with duly.App(f"sqlite:///{tmp_path}/old.db") as app:
        app.submit_many([app.passport("shop:echo", "x" * 1_000 * number) for number in range(10 * BATCH)])
        before = kept(app.place.url)
        app.copy_to(own_server.url(), watch=stop)
    assert stops == 4
    assert kept(own_server.url()) == before


def at_work(place: Place) -> dict[str, duly.Handle[object]]:
    """Have a store with tasks of all kinds, whose worker was killed."""
    app = place.app
    made = {
        "large": app.submit("shop:echo", "x" * 200_000),
        "failed": app.submit("shop:refuse", {"why": "Grüße \0"}),
        "flaky": app.submit("shop:flaky", 2),
        "report": app.submit("shop:report", {"seconds": 0, "times": 50}),
        "dropped": app.submit("shop:echo", 1, run_at="2040-01-01T00:00Z"),
    }
    made["dropped"].cancel("no more")
    worker = place.start("-c", "3")
    eventually(lambda: all(task.refresh().state in ("succeeded", "failed", "cancelled") for task in made.values()))
    made["asked"] = app.submit("shop:hang", {"log": place.log})
    made["lost"] = app.submit("shop:work", {"seconds": 0.5, "log": place.log})
    eventually(lambda: len(place.lines()) == 2)
    worker.kill()
    worker.wait()
    eventually(lambda: not place.left())
    assert made["asked"].cancel("by hand") == "asked"
    made["late"] = app.submit("shop:echo", "late", delay="3s")
    made["waiting"] = app.submit("shop:echo", "y" * 300_000)
    app.submit_many([app.passport("shop:echo", number) for number in range(TASKS)])
    app.pause(action="shop:deaf")
    return made


def kept(url: str) -> tuple[list[Record], Inventory]:
    """All that a store keeps."""
    store = place_of(load({"url": url}, {})).make_store()
    store.open()
    try:
        return dumped(store), store.inventory()
    finally:
        store.close()


def carry(app: duly.App, source: str, target: str, dice: random.Random) -> None:
    """Move a store by processes that are killed but for the last; who opened it before cannot write meanwhile."""
    for _ in range(KILLS):
        assert carried(source, target, dice.randint(1, 8), dice.random() / 50)[-1] in ("copied", "compared")
        with pytest.raises(duly.StoreMoved):
            app.submit("shop:echo", "in between")
    said = carried(source, target)
    assert said[-1] == "True", "it was not killed in the middle"
    assert said.count("copied") < TASKS / BATCH, "it began anew"


def carried(source: str, target: str, steps: int = 0, wait: float = 0.0) -> list[str]:
    """Have a process move a store, and be killed in the middle of a step if a number of them is given; what it said."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", CARRY, source, target], stdin=pipe, stdout=pipe, text=True, cwd=ROOT
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        said = []
        for line in child.stdout:
            said.append(line.strip())
            if line != "True\n":
                child.stdin.write("go on\n")
                child.stdin.flush()
            if len(said) == steps:
                threading.Event().wait(wait)
                child.kill()
                break
        assert child.wait(60) == (-signal.SIGKILL if steps else 0)
    return said


def work_off(place: Place, url: str, made: dict[str, duly.Handle[object]]) -> None:
    """Have a worker end all that there is, as it would have been done at the place of before."""
    told = place.kinds(made["report"])
    place.app.close()
    place.url, place.app = url, duly.App(url)
    place.start("-c", "3")
    tasks = {name: place.app.handle(task.id) for name, task in made.items()}
    assert tasks["waiting"].result(timeout=60) == "y" * 300_000
    assert isinstance(tasks["lost"].result(timeout=60), int)
    assert tasks["late"].result(timeout=60) == "late"
    eventually(lambda: tasks["asked"].refresh().state == "cancelled")
    eventually(lambda: all(task.state in ("succeeded", "failed", "cancelled") for task in place.app.tasks()), 60)
    assert place.row(tasks["lost"]).losses == 1
    assert tasks["large"].result() == "x" * 200_000
    assert told == place.kinds(tasks["report"])
    assert sum(task.state == "succeeded" for task in place.app.tasks()) == TASKS + 6
    assert [pause.action for pause in place.app.paused()] == ["shop:deaf"]
