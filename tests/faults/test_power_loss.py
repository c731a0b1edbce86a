"""Whenever the power fails, what was acknowledged is there afterwards, whole, and nothing is there by half."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from duly.app import App
from duly.core import lifecycle
from duly.core.keeping import Keep
from duly.core.outcome import Failure
from duly.core.task import State
from duly.ports import CancelAsked, Request, Want
from duly.store.migrations import load
from duly.store.sqlite import checkpoint
from duly.store.sqlite.connection import migrate, open_connection
from duly.store.sqlite.file import PACKAGE
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_children import adopted
from duly.testing.store_hands import HOUR, LARGE, Hands, ended
from tests.faults.power import Disk, Tape
from tests.faults.run import Run
from tests.faults.stored import goes_on, opened, sound, stored
from tests.helpers import eventually

FINAL = Failure("no", retry=False)


class Promise(NamedTuple):
    """All that is stored; a claim alone is not promised (docs/decisions/0004)."""

    rows: dict[str, list[Any]]
    durable: bool


class Story:
    """A store on a tape, and after each of its verbs all that it holds, as a promise."""

    def __init__(self, tape: Tape, store: SqliteStore, run: Run) -> None:
        self.tape, self.store, self.dice = tape, store, run.dice
        self.promise()
        self.hands = Hands(store)
        self.promise()
        self.do(self.hands.enlist)

    def promise(self, *, durable: bool = True) -> None:
        """Tell what is stored; mostly only when what a checkpoint has to do is done."""
        checkpointer = self.store._checkpointer
        assert checkpointer is not None
        if self.dice.random() < 0.8:
            eventually(lambda: not checkpointer._under_way)
        self.tape.told(Promise(stored(self.store), durable))

    def do(self, verb: Callable[..., Any], *arguments: Any, durable: bool = True, **named: Any) -> Any:
        answer = verb(*arguments, **named)
        self.promise(durable=durable)
        return answer

    def claim(self, most: int = 1) -> list[Any]:
        return list(self.do(self.hands.claim, most, durable=False))


@pytest.fixture(autouse=True)
def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "FRAMES", 60)
    monkeypatch.setattr(checkpoint, "FEW", 20)


# what is done ---------------------------------------------------------------------------------------------------------


def submits(story: Story) -> None:
    hands = story.hands
    for place in range(6):
        story.do(hands.submit, f"one-{place}", payload=f'"{"x" * 100 * place}"')
    story.do(hands.exchange, submits=[hands.submission(f"many-{place}") for place in range(200)])
    story.do(hands.submit, "large", payload=LARGE)
    story.do(hands.submit, "dated", state=State.SCHEDULED, run_at=hands.now() + HOUR)


def exchanges(story: Story) -> None:
    hands = story.hands
    story.do(hands.exchange, submits=[hands.submission(f"task-{place}") for place in range(12)])
    for place in range(4):
        (held,) = story.claim()
        children = adopted(held, *[hands.submission(f"child-{place}-{number}") for number in range(3)])
        story.do(hands.exchange, changes=[ended(held)], children=children, wants=[Want([hands.lane], place)])
    held = story.claim(3)
    story.do(hands.change, *(ended(one, FINAL) for one in held))
    (held_one,) = story.claim()
    story.do(hands.change, lifecycle.hand_back(held_one, 7))


def cancels_and_retries(story: Story) -> None:
    hands, store = story.hands, story.store
    story.do(hands.exchange, submits=[hands.submission(f"task-{place}") for place in range(8)])
    held = story.claim(4)
    story.do(hands.change, ended(held[0], FINAL), ended(held[1], FINAL))
    for task_id in (held[0].id, "task-5", held[2].id):
        story.do(hands.cancel, task_id)
    story.do(hands.retry, held[1].id)
    asked = Request(cancels=[CancelAsked(f"task-{place}", "all") for place in range(8)], retries=[held[0].id])
    story.do(store.exchange, asked)
    story.do(hands.change, ended(held[3]))


def checkpoints(story: Story) -> None:
    """The log is emptied and begun anew meanwhile, and the store closed and opened."""
    hands = story.hands
    for place in range(30):
        story.do(hands.submit, f"task-{place}")
        (held,) = story.claim()
        story.do(hands.change, ended(held))
    story.store.close()
    story.store.open()
    story.promise()
    story.do(hands.submit, "after")


def prunes(story: Story) -> None:
    """What ended long ago leaves the store by steps, none of which needs to reach the disk by itself."""
    hands, store = story.hands, story.store
    ids = [f"task-{place}" for place in range(60)]
    story.do(hands.exchange, submits=[hands.submission(task_id) for task_id in ids])
    story.do(hands.submit, "large", payload=LARGE)
    held = story.claim(50)
    story.do(hands.change, *(ended(one) for one in held))
    story.do(store.keeping, [("test:check", 1, Keep(1, 1))])
    old = [task for task in store.survey(0, 1 << 62, 100) if task.ended_at is not None]
    for some in (old[:20], old[20:]):
        chunks = story.do(store.empty, [(task.key, task.ended_at) for task in some], durable=False)
        story.do(store.drop_chunks, chunks, durable=False)
        keys = [task.key for task in some]
        while story.do(store.drop_history, keys, durable=False):
            pass
        story.do(store.remove, keys, durable=False)
        story.do(hands.submit)


STORIES = (prunes, submits, exchanges, cancels_and_retries, checkpoints)


# what is left ---------------------------------------------------------------------------------------------------------


def told(folder: Path, run: Run, what: Callable[[Story], None]) -> Tape:
    folder.mkdir()
    with Tape(folder) as tape, opened(folder / "duly.db") as store:
        what(Story(tape, store, run))
    return tape


def losses(run: Run, full: int) -> int:
    """How often to lose the power."""
    run.figure("power losses", run.count(full), "1,500 in all")
    return run.count(full)


def disks(tape: Tape, dice: random.Random, most: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Lose the power so often, after each step of the tape if that is enough; tell after which, and what is left."""
    whole, rest = divmod(most, len(tape.steps))
    times = Counter([*range(len(tape.steps))] * whole + dice.sample(range(len(tape.steps)), rest))
    disk = Disk()
    for place, step in enumerate(tape.steps):
        disk.play(step)
        for _ in range(times[place]):
            yield place, disk.left(dice)


def allowed(promises: list[tuple[int, Promise]], place: int) -> list[Promise]:
    """What may be found after a power loss there: nothing older than the last that was durable, nor what came later.

    Nothing, if nothing had been promised yet.
    """
    before = [promise for at, promise in promises if at <= place]
    last = max((n for n, promise in enumerate(before) if promise.durable), default=None)
    under_way = [promise for at, promise in promises if at > place][:1]
    return [] if last is None else before[last:] + under_way


def put(folder: Path, files: dict[str, bytes], dice: random.Random) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    if dice.random() < 0.5:  # the side file is synced by nobody: its locks are what counts, and they are gone
        (folder / "duly.db-duly").write_bytes(dice.choice((b"", b"\n", b"\0\0\0")))
    return folder / "duly.db"


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__)
def test_what_was_acknowledged_outlasts_a_power_loss_at_any_step(
    story: Callable[[Story], None], tmp_path: Path, run: Run
) -> None:
    tape = told(tmp_path / "taped", run, story)
    promises = [(at, step.data) for at, step in enumerate(tape.steps) if step.what == "told"]
    for place, files in disks(tape, run.dice, losses(run, 400)):
        with opened(put(tmp_path / "left", files, run.dice)) as store:
            found = stored(store)
            promised = allowed(promises, place)
            kept = not promised or any(found == promise.rows for promise in promised)
            assert kept, f"after step {place} of {len(tape.steps)}: {tape.steps[place]}"
            assert sound(store)
            goes_on(store)


def test_a_store_outlasts_a_power_loss_at_any_step_of_its_making(tmp_path: Path, run: Run) -> None:
    tape = told(tmp_path / "taped", run, lambda _: None)
    for _, files in disks(tape, run.dice, losses(run, 150)):
        with opened(put(tmp_path / "left", files, run.dice)) as store:
            assert sound(store)
            goes_on(store)


OLD = """
insert into lane (number, queue, action, version) values (1, 'default', 'test:check', 1);
with recursive n(value) as (select 1 union all select value + 1 from n limit 200)
    insert into task (id, lane, state, band, rank, submitted, payload)
    select 't' || value, 1, 2, 1, value, value, '{}' from n;
"""


def test_an_old_store_outlasts_a_power_loss_at_any_step_of_its_migration(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "taped"
    folder.mkdir()
    path = str(folder / "duly.db")
    with Tape(folder) as tape:
        connection = open_connection(path)
        migrate(connection, path, load(PACKAGE)[:1], 0)
        connection.execute(f"begin; {OLD}; commit")
        tape.told(Promise({}, durable=True))
        connection.close()
        with opened(folder / "duly.db") as store:
            goes_on(store)
    began = next(place for place, step in enumerate(tape.steps) if step.what == "told")
    for place, files in disks(tape, run.dice, losses(run, 150)):
        with opened(put(tmp_path / "left", files, run.dice)) as store:
            assert sound(store)
            if place >= began:
                assert len(store.find([f"t{n}" for n in range(1, 201)])) == 200
            goes_on(store)


def test_what_an_app_has_acknowledged_to_many_threads_outlasts_a_power_loss(tmp_path: Path, run: Run) -> None:
    folder = tmp_path / "taped"
    folder.mkdir()

    def submit(app: App, tape: Tape, _: int) -> None:
        for _ in range(8):
            tape.told(app.submit("some:thing").id)
        for task in app.submit_many(app.passport("some:thing") for _ in range(20)):
            tape.told(task.id)

    with Tape(folder) as tape, App(f"sqlite:///{folder}/duly.db") as app, ThreadPoolExecutor(4) as threads:
        list(threads.map(partial(submit, app, tape), range(4)))
    ids = [(place, step.data) for place, step in enumerate(tape.steps) if step.what == "told"]
    for place, files in disks(tape, run.dice, losses(run, 200)):
        with opened(put(tmp_path / "left", files, run.dice)) as store:
            assert sound(store)
            acknowledged = {task_id for at, task_id in ids if at <= place}
            assert {row.id for row in store.find(list(acknowledged))} == acknowledged
            goes_on(store)
