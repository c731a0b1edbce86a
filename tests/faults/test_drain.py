"""A worker is told to stop, at any moment and in any state: no attempt is burnt by it, and it ends in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from duly.core.task import State
from duly.runner.linux import children_of
from tests.faults import container
from tests.faults.checker import check
from tests.helpers import eventually
from tests.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "tests.faults.shop:app")
    yield place
    place.end()


def test_a_second_signal_ends_it_though_another_process_holds_the_write_lock(place: Place) -> None:
    worker = place.start("-c", "2")
    hanging = place.app.submit("faults:hang")
    eventually(lambda: place.kinds(hanging)[-1] == "start")
    holder = apsw.Connection(str(place.folder / "duly.db"))
    holder.execute("begin immediate")
    worker.send_signal(signal.SIGTERM)
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
    place.within = container.COMMAND
    for number in (signal.SIGTERM, signal.SIGINT):
        started = place.start("-c", "2")
        assert place.app.submit("faults:work", {"seconds": 0}).wait(20).ok
        os.kill(container.first(started), number)
        assert started.wait(20) == 0
    assert not place.left()
    assert not place.app.nodes()


def test_as_the_first_process_it_reaps_what_is_left_to_it(place: Place) -> None:
    place.within = container.COMMAND
    started = place.start("-c", "1")
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


def listens(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
    except FileNotFoundError:
        return False
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)
