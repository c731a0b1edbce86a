"""The checker itself: it has nothing to say of a store that is sound, and finds each thing that is wrong."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import apsw
import psycopg
import pytest

import duly
from tests.faults import checker, shop
from tests.faults.checker import check_file, violations
from tests.faults.effects import Effect, read
from tests.helpers import eventually
from tests.place import Place


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A store in which tasks of all kinds have come to all ends, with its log; and their ids by name."""
    place = Place(tmp_path_factory.mktemp("sound"), "tests.faults.shop:app")
    try:
        return place.folder, ran(place)
    finally:
        place.end()


def ran(place: Place) -> dict[str, str]:
    app = place.app
    tasks = {
        "plain": app.submit("faults:work", {"seconds": 0}),
        "flaky": app.submit("faults:flaky", {"fails": 2}),
        "refused": app.submit("faults:refuse"),
        "retried": app.submit("faults:refuse"),
        "snoozed": app.submit("faults:snooze", {"seconds": 0.05}),
        "died": app.submit("faults:die", {"times": 1}),
        "quarantined": app.submit("faults:die", {"times": 9}),
        "parent": app.submit("faults:parent", {"children": 2}),
        "shared": app.submit("faults:shared", {"seconds": 0.01}),
        "fresh": app.submit("faults:fresh", {"seconds": 0}),
        "hang": app.submit("faults:hang"),
        "dated": app.submit("faults:work", {"seconds": 0}, delay=0.1),
        "late": app.submit("faults:refuse", delay=0.1),
        "early": app.submit("faults:work", {"seconds": 0}, delay=600),
        "never": app.submit("faults:work", {"seconds": 0}, delay=600),
        "twice": app.submit("faults:hang"),
    }
    tasks["never"].cancel()
    tasks["early"].retry()
    begun = partial(times_begun, place)
    first = place.start("-c", "4")
    eventually(lambda: begun(tasks["hang"]) and begun(tasks["twice"]))
    first.kill()
    first.wait()
    last = place.start("-c", "4")
    eventually(lambda: begun(tasks["hang"]) == begun(tasks["twice"]) == 2)
    tasks["hang"].cancel()
    tasks["twice"].cancel()
    tasks["retried"].wait(30)
    tasks["retried"].retry()
    for task in tasks.values():
        assert task.wait(30)
    assert place.stop(last) == 0
    ids = {name: task.id for name, task in tasks.items()}
    checker.check(place, ids.values())
    return ids


def times_begun(place: Place, task: duly.Handle[object]) -> int:
    return sum(effect.task == task.id for effect in read(place.effects))


class Copy:
    """A copy of the sound store, to be spoiled."""

    def __init__(self, folder: Path, ids: dict[str, str], to: Path) -> None:
        self.path = to / "duly.db"
        self.ids = dict(ids)
        self.effects = read(folder / "effects")
        for file in folder.glob("duly.db*"):
            if file.is_file():
                shutil.copy(file, to)
        self._db = apsw.Connection(str(self.path))

    def task(self, name: str, change: str) -> None:
        """Change a task's row."""
        self._db.execute(f"update task set {change} where id = ?", (self.ids[name],))

    def sql(self, text: str, name: str) -> None:
        self._db.execute(text, {"id": self.ids[name], "key": self.key(name)})

    def key(self, name: str) -> int:
        return int(self._db.execute("select key from task where id = ?", (self.ids[name],)).fetchone()[0])

    def events(self, name: str) -> list[tuple[int, list[list[object]]]]:
        found = self._db.execute("select first, body from event where task = ? order by first", (self.key(name),))
        return [(first, json.loads(body)) for first, body in found]

    def rewrite(self, name: str, kind: str, to: list[object]) -> None:
        """Put another event where the last one of a kind is."""
        for first, body in reversed(self.events(name)):
            places = [place for place, event in enumerate(body) if event[0] == kind]
            if places:
                at = body[places[-1]][1]
                body[places[-1]] = [to[0], to[1] or at, to[2]]
                self._db.execute(
                    "update event set body = ? where task = ? and first = ?", (json.dumps(body), self.key(name), first)
                )
                return
        raise AssertionError(f"{name} has no event {kind}")

    def tell(self, name: str, claim: int, attempt: int, *events: list[object]) -> None:
        """Tell more of a task, as a correct row with its number would."""
        (seq,) = self._db.execute("select seq from task where id = ?", (self.ids[name],)).fetchone()
        self._db.execute(
            "insert into event values (?, ?, ?, ?, ?)", (self.key(name), seq + 1, claim, attempt, json.dumps(events))
        )
        self.task(name, f"seq = seq + {len(events)}")

    def found(self) -> set[tuple[str, str]]:
        """What is wrong now: invariants, and which tasks."""
        names = {task: name for name, task in self.ids.items()}
        return {
            (one.invariant, names.get(one.task, one.task))
            for one in violations(self.path, self.ids.values(), self.effects)
        }


@pytest.fixture
def copy(sound, tmp_path) -> Copy:
    return Copy(*sound, tmp_path)


NOW = 2_000_000_000_000_000
Spoil = Callable[[Copy, str], object]


def lost(copy: Copy, name: str) -> None:
    copy.sql("delete from event where task = :key", name)
    copy.sql("delete from task where id = :id", name)


def acknowledged_alone(copy: Copy, name: str) -> None:
    copy.ids[name] = "nowhere"


def of(copy: Copy, name: str, what: str = "begin") -> Effect:
    return next(e for e in copy.effects if e.task == copy.ids[name] and e.what == what)


def row(change: str) -> Spoil:
    return lambda copy, name: copy.task(name, change)


def history(change: str) -> Spoil:
    return lambda copy, name: copy.sql(f"{change} where task = :key", name)


def event(kind: str, *to: object) -> Spoil:
    return lambda copy, name: copy.rewrite(name, kind, list(to))


def more(claim: int, attempt: int, *events: list[object]) -> Spoil:
    return lambda copy, name: copy.tell(name, claim, attempt, *events)


def effect(times: int = 1, **changed: object) -> Spoil:
    return lambda copy, name: copy.effects.extend([of(copy, name)._replace(**changed)] * times)  # type: ignore[arg-type]


def foreign_value(copy: Copy, name: str) -> None:
    copy.sql(
        "update task set value = (select value from task where id <> :id and value is not null) where id = :id", name
    )


FAILED = {"kind": "error", "cause": "error"}
PLANTED: dict[str, tuple[str, str, Spoil]] = {
    "a task that was acknowledged is not there": ("I1", "lost", acknowledged_alone),
    "a task that has run is not there": ("I1", "plain", lost),
    "a task has not ended": ("I1", "plain", row("state = 2, ended_at = null, value = null")),
    "a task succeeds twice": ("I2", "plain", more(2, 2, ["start", NOW, None], ["success", NOW, None])),
    "a task fails after it has succeeded": ("I2", "plain", more(2, 2, ["fail", NOW, FAILED])),
    "a cancelled task succeeds": ("I2", "hang", more(9, 1, ["success", NOW, None])),
    "a success without a value": ("I2", "plain", row("value = null")),
    "a success that never came to its end": (
        "I2",
        "plain",
        lambda copy, name: copy.effects.remove(of(copy, name, "end")),
    ),
    "an attempt is left out": ("I3", "flaky", history("update event set attempt = attempt + (attempt = 3)")),
    "an attempt is repeated": ("I3", "flaky", history("update event set attempt = attempt - (attempt = 2)")),
    "an attempt without a start": ("I3", "flaky", event("start", "note", None, {})),
    "an attempt without an end": ("I3", "flaky", event("retry", "note", None, {})),
    "an attempt begins twice": ("I3", "plain", event("success", "start", None, None)),
    "a row has counted more attempts": ("I3", "flaky", row("attempt = attempt + 1")),
    "an execution that nothing is told of": ("I3", "plain", effect(attempt=7)),
    "an old claim tells an end": ("I4", "flaky", history("update event set claim = 1")),
    "an attempt tells more after the end": ("I4", "plain", more(1, 1, ["update", NOW, {}])),
    "a success under a verdict": ("I4", "hang", event("cancel", "success", None, None)),
    "the value of another task": ("I4", "plain", foreign_value),
    "a claim went back": ("I4", "flaky", row("claim = 1")),
    "more attempts than it may have": ("I5", "refused", row("attempt = 3")),
    "more deaths than it may have": ("I5", "quarantined", row("deaths = 4")),
    "more executions than claims": ("I5", "plain", effect(times=2)),
    "an event of no known kind": ("I6", "plain", event("success", "bump", None, None)),
    "a task that has not failed is retried": ("I6", "plain", more(1, 1, ["release", NOW, {"from": "failed"}])),
    "an ended task is held": ("I6", "plain", row("node = 1")),
    "a second verdict": ("I6", "hang", event("start", "verdict", None, {})),
    "another state than the history's": ("I7", "plain", row("state = 5, value = null")),
    "another end than the history's": ("I7", "plain", row("ended_at = 1")),
    "another cause than the history's": ("I7", "refused", row("cause = 'died'")),
    "fewer deaths than the history's": ("I7", "died", row("deaths = 0")),
    "fewer losses than the history's": ("I7", "twice", row("losses = 0")),
    "a number of events that is not so": ("I7", "plain", row("seq = seq + 1")),
    "an event is gone": ("I7", "refused", history("delete from event")),
    "a suspect of nothing": ("I7", "plain", row("suspect = 1")),
    "a begin before its date": ("I8", "dated", event("start", "start", 1, None)),
    "an execution before its date": ("I8", "dated", effect(at=1)),
    "a begin before its backoff was over": ("I8", "flaky", event("start", "start", 1, None)),
}


def test_a_store_in_which_all_went_well_passes(sound):
    folder, ids = sound
    check_file(folder / "duly.db", ids.values(), read(folder / "effects"))


def test_the_sound_store_has_seen_deaths_losses_retries_and_cancels(sound):
    with duly.App(f"sqlite:///{sound[0]}/duly.db") as app:
        kinds = {event.kind for task in sound[1].values() for event in app.look(task)[1]}
    assert kinds >= {"start", "success", "retry", "fail", "snooze", "info", "rescue", "verdict", "cancel", "release"}


@pytest.mark.parametrize("what", PLANTED)
def test_what_is_wrong_is_found(copy, what):
    invariant, name, spoil = PLANTED[what]
    spoil(copy, name)
    assert (invariant, name) in copy.found()


def test_a_delay_that_was_reckoned_before_its_submitter_waited_is_no_fault(copy):
    """Its row has another date since, which it is not to be measured by."""
    copy.task("late", "submitted = submitted + 1000000")
    assert not copy.found()


def test_a_damaged_file_is_found(copy):
    copy.sql("select 1", "plain")
    copy._db.close()
    with open(copy.path, "r+b") as file:
        file.seek(3 * 4096)
        file.write(b"\xff" * 4096)
    assert "I12" in {one.invariant for one in violations(copy.path, [])}


def test_all_that_is_wrong_is_told_at_once_with_task_and_history(copy):
    copy.task("plain", "state = 5")
    copy.task("flaky", "deaths = 1")
    with pytest.raises(AssertionError) as told:
        check_file(copy.path, copy.ids.values(), copy.effects)
    for word in (copy.ids["plain"], copy.ids["flaky"], "I7", "'success'", "'retry'"):
        assert word in str(told.value)


def test_a_process_that_outlives_its_worker_is_found(place):
    task = place.app.submit("faults:hang")
    worker = place.start()
    [begin] = eventually(lambda: read(place.effects))
    checker.check(place, [task.id], settled=False)
    place._workers.remove(worker)  # from here on nobody knows of it
    found = checker.strays(place)
    assert {one.invariant for one in found} == {"I11"}
    assert any(str(begin.pid) in one.text for one in found)
    place._workers.append(worker)


def test_a_process_that_outlives_its_task_is_found_and_another_of_its_number_is_not_it(place):
    ended, hangs = place.app.submit("faults:fresh", {"seconds": 0}), place.app.submit("faults:hang")
    place.start()
    assert ended.wait(30).ok
    [pid] = eventually(lambda: {effect.pid for effect in read(place.effects) if effect.task == hangs.id})
    for moment, found in ((time.monotonic_ns() // 1000, {"I11"}), (1, set())):
        with open(place.effects, "a") as effects:
            effects.write(f"begin {ended.id} 1 {pid} 1 1 fresh {moment}\n")
        assert {one.invariant for one in checker.strays(place) if one.task == ended.id} == found
        place.effects.write_text("")


def test_what_is_not_settled_may_still_run(copy):
    copy.task("early", "state = 2, ended_at = null, value = null")
    assert ("I1", copy.ids["early"]) not in {
        (one.invariant, one.task) for one in violations(copy.path, copy.ids.values(), copy.effects, settled=False)
    }


def test_ten_thousand_tasks_are_read_in_about_a_second(tmp_path):
    assert shop.app.actions
    with duly.App(f"sqlite:///{tmp_path}/duly.db") as app:
        ids = [task.id for task in app.submit_many(app.passport("faults:work", {"seconds": 0}) for _ in range(10_000))]
        begin = time.monotonic()
        assert violations(tmp_path / "duly.db", ids, settled=False) == []
    assert time.monotonic() - begin < 5  # on a loaded machine


DAMAGES = (
    ("I12", "insert into duly.task select * from duly.ended where id = %s"),
    ("I12", "update duly.ended set state = 2 where id = %s"),
    ("I1", "delete from duly.ended where id = %s"),
    ("I4", "update duly.ended set claim = 1 where id = %s"),
    ("I5", "update duly.ended set attempt = 9 where id = %s"),
    ("I7", "delete from duly.event where first = 2 and task = (select key from duly.ended where id = %s)"),
    ("I3", "update duly.event set attempt = 4 where task = (select key from duly.ended where id = %s)"),
)


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_what_is_wrong_with_a_servers_store_is_found_as_well(place: Place) -> None:
    ids = [place.app.submit("faults:flaky", {"fails": 1}).id for _ in DAMAGES]
    place.start("-c", "1")
    eventually(lambda: len(place.app.ended(ids)) == len(ids))
    assert violations(place.url, ids, read(place.effects)) == []
    with psycopg.connect(place.url) as connection:
        for task_id, (_, damage) in zip(ids, DAMAGES, strict=True):
            connection.execute(damage.encode(), [task_id])
    wrong = {(one.invariant, one.task or one.text[:36]) for one in violations(place.url, ids, read(place.effects))}
    assert {(invariant, task_id) for task_id, (invariant, _) in zip(ids, DAMAGES, strict=True)} <= wrong
