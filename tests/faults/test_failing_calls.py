"""Whichever of SQLite's system calls fails, and how: a typed error or success, nothing by half, and it goes on."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apsw
import pytest

from duly.core.keeping import Keep
from duly.core.outcome import Failure
from duly.core.task import Held
from duly.errors import StoreError, StoreFull, StoreUnavailable
from duly.ports import CancelAsked, Request, Want
from duly.store.sqlite import checkpoint
from duly.store.sqlite.connection import FAILED_SYNC
from duly.store.sqlite.store import SqliteStore
from duly.testing import FakeClock
from duly.testing.store_children import adopted
from duly.testing.store_hands import LARGE, Hands, ended
from tests.faults.run import Run
from tests.faults.stored import goes_on, sound, stored
from tests.faults.trouble import FAULTS, Fault, Trouble
from tests.helpers import eventually

FINAL = Failure("no", retry=False)
CLOCK = FakeClock()


class Scene:
    """A store with tasks of all kinds, and a node that holds some of them; the same each time."""

    def __init__(self, path: Path, node: int = 0, number: int = 0, held: list[Held] | None = None) -> None:
        self.store = SqliteStore(str(path), CLOCK)
        self.store.open()
        self.hands = Hands(self.store)
        self.node, self.number, self.held = node, number, held or []
        self.begin()

    def begin(self) -> None:
        """Work as the node, from where it was."""
        self.hands.node, self.hands.number = self.node, self.number

    def settled(self) -> None:
        """Wait until the log has been emptied, if that was begun."""
        checkpointer = self.store._checkpointer
        if checkpointer is not None:
            eventually(lambda: not checkpointer._under_way)

    def submit(self, *ids: str, **more: Any) -> None:
        self.hands.store.exchange(Request(submits=[self.hands.submission(task_id, **more) for task_id in ids]))

    def exchange(self, **request: Any) -> None:
        self.hands.exchange(**request)

    def verb_again(self, verb: Callable[[Scene], Any]) -> None:
        self.begin()
        verb(self)


@pytest.fixture
def template(tmp_path: Path) -> Scene:
    """The scene, to be copied from its folder; its store is closed."""
    (tmp_path / "template").mkdir()
    scene = Scene(tmp_path / "template" / "duly.db")
    hands = scene.hands
    scene.node = hands.node = hands.store.enlist("node", "", "")
    hands.store.enlist("other", "", "")
    scene.submit(*(f"task-{place}" for place in range(12)))
    scene.submit("large", payload=LARGE, band=2)
    scene.held = hands.claim(6)
    hands.change(ended(scene.held[4], FINAL), ended(scene.held[5]))
    scene.number = hands.number
    scene.store.close()
    return scene


def finish(scene: Scene) -> None:
    one, two, three = scene.held[:3]
    children = adopted(one, scene.hands.submission("child-1"), scene.hands.submission("child-2", payload=LARGE))
    changes = [ended(one), ended(two, FINAL), ended(three)]
    scene.exchange(changes=changes, children=children, wants=[Want([scene.hands.lane], 3)])


def empty_the_log(scene: Scene) -> None:
    for place in range(4):
        scene.submit(f"new-{place}")
        scene.settled()


def after_a_fork(scene: Scene) -> None:
    scene.store.let_go()
    scene.submit("new")


def open_anew(scene: Scene) -> None:
    scene.store.close()
    scene.store.open()


def prune(scene: Scene) -> None:
    store = scene.store
    store.keeping([("test:check", 1, Keep(1, 1))])
    old = [task for task in store.survey(0, 1 << 62, 100) if task.ended_at is not None]
    store.drop_chunks(store.empty([(task.key, task.ended_at) for task in old]))
    keys = [task.key for task in old]
    while store.drop_history(keys):
        pass
    store.remove(keys)


def read(scene: Scene) -> None:
    scene.store.let_go()  # what was read before is kept in memory
    scene.store.find(["task-1"])
    scene.store.events("task-5", 0, 10)
    scene.store.stats()
    scene.store.version()
    scene.store.dead()
    assert sound(scene.store)


class Verb(NamedTuple):
    """Something to do; `steps` if it is done in several transactions."""

    do: Callable[[Scene], Any]
    steps: bool = False


VERBS = {
    "submit": Verb(lambda scene: scene.submit("new")),
    "submit many": Verb(lambda scene: scene.submit(*(f"new-{place}" for place in range(150)))),
    "submit a large one": Verb(lambda scene: scene.submit("new", payload=LARGE)),
    "claim": Verb(lambda scene: scene.hands.claim(5)),
    "finish": Verb(finish),
    "cancel": Verb(lambda scene: scene.store.exchange(Request(cancels=[CancelAsked(f"task-{n}", "") for n in (0, 9)]))),
    "retry": Verb(lambda scene: scene.store.exchange(Request(retries=["task-4", "task-0"]))),
    "enlist": Verb(lambda scene: scene.store.enlist("new", "", "")),
    "leave": Verb(lambda scene: scene.store.leave(scene.node + 1)),
    "lanes": Verb(lambda scene: scene.store.lanes([("default", "test:new", 1)])),
    "pause": Verb(lambda scene: scene.store.pause("queue", "default")),
    "prune": Verb(prune, steps=True),
    "empty the log": Verb(empty_the_log, steps=True),
    "after a fork": Verb(after_a_fork),
    "open anew": Verb(open_anew),
    "read": Verb(read),
}


class Stage:
    """Where a verb is done, again and again."""

    def __init__(self, template: Scene, trouble: Trouble, folder: Path) -> None:
        self._template, self.trouble, self._folder = template, trouble, folder

    def scene(self) -> Scene:
        shutil.rmtree(self._folder, ignore_errors=True)
        shutil.copytree(Path(self._template.store.path).parent, self._folder)
        return Scene(self._folder / "duly.db", self._template.node, self._template.number, self._template.held)

    def seen(self, verb: Verb) -> tuple[dict[str, list[Any]], dict[str, list[Any]], Counter[str]]:
        """What is stored before and after it, and how many calls it makes of each kind."""
        scene = self.scene()
        before = stored(scene.store)
        with self.trouble.counted() as calls:
            verb.do(scene)
            scene.settled()
        after = stored(scene.store)
        scene.store.close()
        return before, after, calls


def error_of(verb: Verb, scene: Scene) -> StoreError | None:
    """The error of a verb; only duly's own may come."""
    try:
        verb.do(scene)
    except StoreError as error:
        return error
    return None


def is_right(error: StoreError | None, fault: Fault) -> bool:
    """Whether it is what somebody should be told of this fault, if anything; SQLite may lose why it could not open."""
    unavailable = isinstance(error, StoreUnavailable) and (not fault.no_room or fault.call == "open")
    return error is None or unavailable or (isinstance(error, StoreFull) and fault.no_room)


def goes_on_after(scene: Scene, error: StoreError | None) -> bool:
    """Have the store go on, now that the fault is gone; whether what it was about to do is not known."""
    store = scene.store
    checkpointer = store._checkpointer
    if store._failed or (checkpointer is not None and checkpointer.failed):
        with pytest.raises(StoreUnavailable, match=FAILED_SYNC):
            store.exchange(Request())
        store.close()
        store.open()
        return True
    if store._connection is None and not store._let_go:
        store.open()
    return False


def tried(stage: Stage, name: str, fault: Fault, at: int, before: Any, after: Any) -> None:
    scene = stage.scene()
    try:
        tell(scene, stage, name, fault, at, before, after)
    finally:
        scene.store.close()


def tell(scene: Scene, stage: Stage, name: str, fault: Fault, at: int, before: Any, after: Any) -> None:
    verb = VERBS[name]
    what = f"{name}: {fault}, the call number {at}"
    with stage.trouble.fault(fault, at):
        error = error_of(verb, scene)
        scene.settled()
    assert is_right(error, fault), f"{what}: {error!r}"
    unknown = goes_on_after(scene, error)
    found = stored(scene.store)
    if error is None:
        assert found == after, f"{what}: it was said to be done, and is not"
    elif unknown:
        assert found in (before, after) or verb.steps, f"{what}: half of it is done"
    else:
        assert found == before or verb.steps, f"{what}: {error} was said, and something was done"
    if found == before:
        scene.verb_again(verb.do)
        scene.settled()
        assert stored(scene.store) == after, f"{what}: it cannot be done again"
    assert sound(scene.store), what
    goes_on(scene.store)


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FRAMES", 5)
    monkeypatch.setattr(checkpoint, "FEW", 3)


@pytest.fixture
def stage(template: Scene, tmp_path: Path) -> Iterator[Stage]:
    with Trouble() as trouble:
        yield Stage(template, trouble, tmp_path / "stage")


@pytest.mark.parametrize("name", VERBS)
def test_a_call_that_fails_is_a_typed_error_or_none_and_does_nothing_by_half(name: str, stage: Stage, run: Run) -> None:
    before, after, calls = stage.seen(VERBS[name])
    points = [(fault, at) for fault in FAULTS for at in range(calls[fault.call])]
    chosen = run.dice.sample(points, min(len(points), run.count(FULL)))
    run.figure("failed calls", len(chosen), f"of {len(points):,}; 1,000 in all verbs")
    for fault, at in chosen:
        tried(stage, name, fault, at, before, after)


FULL = 100
"""Points of each verb."""


@pytest.mark.parametrize("lasting", [False, True])
def test_a_claim_that_was_committed_is_answered_whatever_comes_of_reading_payloads(stage: Stage, lasting: bool) -> None:
    _, _, calls = stage.seen(Verb(lambda scene: scene.hands.claim(7)))
    scene = stage.scene()
    with stage.trouble.fault(Fault("pread64", errno.ENOSPC, lasting), calls["pread64"] - 1):
        claims = scene.hands.claim(7)
    assert stage.trouble.came
    assert len(claims) == (6 if lasting else 7)
    kept = {held.id for held in scene.store.held(scene.node, 100)}
    assert {"large", *(held.id for held in claims)} <= kept  # it is given back when both are compared
    assert scene.hands.change(ended(claims[0])).done
    scene.store.close()


def test_what_was_committed_is_answered_though_no_setting_can_be_changed_after_it(stage: Stage) -> None:
    scene = stage.scene()
    refused: list[str] = []

    def refuse(_cursor: apsw.Cursor, statement: str, _bindings: object) -> bool:
        if statement == "pragma synchronous = normal":
            refused.append(statement)
            raise apsw.BusyError("database is locked")
        return True

    connection = scene.store._connection
    assert connection is not None
    connection.exec_trace = refuse
    assert scene.hands.change(ended(scene.held[0])).done
    assert refused
    connection.exec_trace = None
    assert scene.hands.claim(1)
    scene.store.close()
