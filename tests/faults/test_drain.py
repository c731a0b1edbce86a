"""A worker is told to stop, at any moment and in any state: no attempt is burnt by it, and it ends in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

import duly
from duly.core.task import State
from duly.engine.worker import SAME_SECONDS
from duly.runner.linux import children_of
from tests.faults import container
from tests.faults.checker import check
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "tests.faults.shop:app")
    yield place
    place.end()


def test_a_second_signal_ends_it_though_another_process_holds_the_write_lock(place: Place, run: Run) -> None:
    worker = place.start("-c", "2")
    hanging = place.app.submit("faults:hang")
    eventually(lambda: place.kinds(hanging)[-1] == "start")
    holder = apsw.Connection(str(place.folder / "duly.db"))
    holder.execute("begin immediate")
    worker.send_signal(signal.SIGTERM)
    run.pause(SAME_SECONDS + 0.1)
    since = time.monotonic()
    worker.send_signal(signal.SIGINT)
    assert worker.wait(30) == 0
    assert time.monotonic() - since < 1 + 1 + 2, "its grace, the time for last words, and some for ending"
    assert "will be done again" in place.said()
    holder.execute("rollback")
    holder.close()

    place.start("-c", "2")
    eventually(lambda: place.kinds(hanging)[-1] == "start" and place.kinds(hanging).count("start") == 2)
    assert (place.row(hanging).attempt, place.row(hanging).deaths) == (1, 0)
    assert hanging.cancel(wait=20) == "asked"
    assert hanging.wait(20).state == "cancelled"
    check(place, [hanging.id])


def test_another_signal_cuts_short_what_runs_around_runners(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "tests.faults.around:app")
    try:
        worker = place.start("-c", "1")
        eventually(lambda: "has begun" in place.said())
        worker.send_signal(signal.SIGTERM)
        eventually(lambda: "begins to end" in place.said())
        run.pause(1.0)  # two at once are one
        worker.send_signal(signal.SIGTERM)
        since = time.monotonic()
        assert worker.wait(30) == 0
        assert time.monotonic() - since < 3
    finally:
        place.end()


def test_a_cancel_while_it_drains_is_kept(place: Place) -> None:
    worker = place.start("-c", "2")
    hanging, clinging = place.app.submit("faults:hang"), place.app.submit("faults:cling")
    eventually(lambda: place.kinds(hanging)[-1] == place.kinds(clinging)[-1] == "start")
    worker.send_signal(signal.SIGTERM)
    eventually(lambda: "told to stop" in place.said())
    assert [task.cancel() for task in (hanging, clinging)] == 2 * ["asked"]
    assert worker.wait(30) == 0
    assert [place.row(task).state for task in (hanging, clinging)] == 2 * [State.CANCELLED]
    check(place, [hanging.id, clinging.id])


def test_as_the_first_process_it_ends_when_told_to(place: Place) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        started = place.start("-c", "2", within=container.COMMAND)
        assert place.app.submit("faults:work", {"seconds": 0}).wait(20).ok
        os.kill(container.first(started), number)
        assert started.wait(20) == 0
    assert not place.left()
    assert not place.app.nodes()


def test_as_the_first_process_it_reaps_what_is_left_to_it(place: Place) -> None:
    started = place.start("-c", "1", within=container.COMMAND)
    first = container.first(started)
    (worker,) = children_of(first)
    lost = place.app.submit("faults:orphan")
    eventually(lambda: len(children_of(first)) > 1)  # nobody else is there to inherit it
    eventually(lambda: children_of(first) == [worker])
    assert place.row(lost).losses
    os.kill(first, signal.SIGTERM)
    assert started.wait(20) == 0


def test_told_to_stop_before_it_has_begun_it_ends_well(place: Place) -> None:
    worker = place.launch("-c", "1")
    eventually(lambda: listens(worker.pid))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert not place.left()


DRAIN_SECONDS = 0.4
GRACE_SECONDS = 5.0  # of those that have said nothing else
LIVES = 4


class Life(NamedTuple):
    """One worker: how it is started, when it is told to stop, and when once more."""

    first: bool
    moment: float
    again: float | None


class Death(NamedTuple):
    """How a worker ended: after how many seconds, and with which code."""

    seconds: float
    code: int


def test_told_to_stop_at_any_moment_it_burns_no_attempt(place: Place, run: Run) -> None:
    count = run.rounds(300)
    ids = [handle.id for handle in place.app.submit_many(load(place, run, 25 * count))]
    lives = [
        Life(
            number % 6 == 0,
            run.dice.uniform(0, 1),
            run.dice.choice([None, None, None, run.dice.uniform(0, 0.5)]),
        )
        for number in range(count)
    ]
    with ThreadPoolExecutor(LIVES) as pool:
        deaths = list(pool.map(lambda life: lived(place, run, life), lives))
    place.start("-c", "8")
    for task in ids:
        place.app.handle(task).wait(60)
    slowest = max(death.seconds for death in deaths)
    run.figure(f"{count} told to stop, {sum(life.first for life in lives)} as process 1, ended in", slowest)
    assert {death.code for death in deaths} == {0}
    assert slowest < DRAIN_SECONDS + GRACE_SECONDS + 2
    rows = [place.app.look(task)[0] for task in ids]
    assert {(row.state, row.attempt, row.deaths, row.losses) for row in rows} == {(State.SUCCEEDED, 1, 0, 0)}
    check(place, ids)


def load(place: Place, run: Run, count: int) -> list[duly.Passport]:
    """Tasks of all kinds: most are short, some outlast the time to drain, and some of these heed nothing."""
    kinds = 16 * ["faults:work"] + ["faults:fresh", "faults:shared", "faults:work", "faults:stubborn"]
    passports = []
    for _ in range(count):
        place_of_kind = run.dice.randrange(len(kinds))
        seconds = run.dice.uniform(0.001, 0.02) if place_of_kind < 17 else run.dice.uniform(0.2, 1.2)
        passports.append(place.app.passport(kinds[place_of_kind], {"seconds": seconds}))
    return passports


def lived(place: Place, run: Run, life: Life) -> Death:
    """Start a worker, tell it to stop, and see how it ends."""
    settings = ["env", f"DULY_DRAIN_TIMEOUT={DRAIN_SECONDS}"]
    worker = place.launch("-c", "2", within=[*settings, *(container.COMMAND if life.first else [])])
    pid = container.first(worker) if life.first else worker.pid
    eventually(lambda: listens(pid))
    run.pause(life.moment)
    os.kill(pid, signal.SIGTERM)
    since = time.monotonic()
    if life.again is not None:
        run.pause(life.again)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    code = worker.wait(60)
    return Death(time.monotonic() - since, code)


def listens(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
    except FileNotFoundError:
        return False
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
