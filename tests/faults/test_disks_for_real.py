"""Processes on disks that are full or sick, beside others that hold the store up, and on a store that is taken away."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

import duly
from duly.errors import StoreBusy, StoreFull, StoreUnavailable
from tests.faults.checker import check, check_file
from tests.faults.effects import read
from tests.faults.run import Run
from tests.faults.shop import carry, work
from tests.faults.trouble import Fault, Trouble
from tests.helpers import eventually
from tests.place import ROOT, Place

UNREACHABLE = 4
SYS_ADMIN = 21
ROOM = 512 * 1024
ROUNDS = 10
LARGE = 1 << 30


def may_mount() -> bool:
    status = Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0]
    return bool(int(status, 16) >> SYS_ADMIN & 1)


# a full disk ----------------------------------------------------------------------------------------------------------


class Little:
    """A place whose store has little room: on a disk of its own, or since files may not become larger."""

    def __init__(self, place: Place, kind: str, clean: ExitStack) -> None:
        self.kind, self.place = kind, place
        self.folder = place.folder / "small"
        self.folder.mkdir()
        if kind == "disk":
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={LARGE}", "tmpfs", self.folder], check=True)
            clean.callback(subprocess.run, ["umount", "-l", self.folder], check=True)
        place.app.close()
        place.url = f"sqlite:///{self.folder}/duly.db"
        place.app = duly.App(place.url)
        clean.callback(place.end)

    def _resize(self, size: int) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)

    @contextmanager
    def full(self, worker: subprocess.Popen[bytes]) -> Iterator[None]:
        """Leave room for some ten tasks."""
        if self.kind == "disk":
            disk = os.statvfs(self.folder)
            self._resize((disk.f_blocks - disk.f_bfree) * disk.f_frsize + ROOM)
            yield
            self._resize(LARGE)
            return
        most = os.path.getsize(self.folder / "duly.db-wal") + ROOM
        before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in (os.getpid(), worker.pid)}
        for pid, (_, hard) in before.items():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            for pid, limits in before.items():
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)


@pytest.fixture(params=["limit", "disk"] if may_mount() else ["limit"])
def little(request: pytest.FixtureRequest, place: Place) -> Iterator[Little]:
    with ExitStack() as clean:
        yield Little(place, request.param, clean)


def until_refused(place: Place, size: int) -> list[duly.Handle[Any]]:
    """Submit until there is no room; what was accepted."""
    accepted: list[duly.Handle[Any]] = []
    try:
        for _ in range(500):
            accepted.append(place.app.submit(carry.passport("x" * size)))  # noqa: PERF401 - as far as it gets
    except StoreFull as error:
        assert "no space left on the disk; make room, then it goes on" in str(error)  # noqa: PT017
        return accepted
    raise AssertionError("it does not become full")


def test_a_full_disk_is_told_to_who_submits_and_waited_for_by_workers(little: Little, run: Run) -> None:
    place = little.place
    accepted = [place.app.submit(work.passport(0.0)) for _ in range(5)]
    worker = place.start("-c", "1")
    refused = 0
    for _ in range(run.count(ROUNDS)):
        with little.full(worker):
            accepted += until_refused(place, 20_000)
            refused += 1
            run.pause(0.0, 1.0)
        accepted.append(place.app.submit(work.passport(0.0)))
        assert [task.result(timeout=60) for task in accepted]
        assert worker.poll() is None
    assert place.stop(worker) == 0
    check_file(little.folder / "duly.db", [task.id for task in accepted], read(place.effects))
    run.figure("full disks", refused)


def test_a_worker_on_a_full_disk_says_so_and_goes_on_by_itself(little: Little) -> None:
    place = little.place
    worker = place.start("-c", "2")
    accepted: list[duly.Handle[Any]] = [place.app.submit(work.passport(1.0)) for _ in range(4)]
    eventually(lambda: place.app.handle(accepted[0].id).refresh().state == "running")
    with little.full(worker):
        accepted += until_refused(place, 5_000)
        eventually(lambda: "no space left on the disk" in place.said())
        assert worker.poll() is None
    assert [task.result(timeout=60) for task in accepted]
    assert place.stop(worker) == 0
    check_file(little.folder / "duly.db", [task.id for task in accepted], read(place.effects))


# a sick disk ----------------------------------------------------------------------------------------------------------


def test_a_worker_stops_after_a_failed_sync_and_the_next_one_loses_nothing(tmp_path: Path, run: Run) -> None:
    place = Place(tmp_path, "tests.faults.sick:app")
    try:
        accepted = []
        for _ in range(run.count(20)):
            worker = place.start("-c", "2")
            accepted += [place.app.submit(work.passport(0.01)) for _ in range(50)]
            run.pause(0.0, 0.3)
            (tmp_path / "sick").touch()
            accepted.append(place.app.submit(work.passport(0.01)))
            assert worker.wait(30) == UNREACHABLE, place.said()
            assert "a sync has failed, so what is on the disk is not known; check the disk" in place.said()
            (tmp_path / "sick").unlink()
        worker = place.start("-c", "2")
        assert [task.result(timeout=60) for task in accepted]
        assert place.stop(worker) == 0
        check(place, [task.id for task in accepted])
    finally:
        place.end()


def test_an_app_stops_after_a_failed_sync_and_goes_on_after_a_full_disk(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/duly.db"
    with Trouble() as trouble:
        with duly.App(url) as app:
            accepted = [app.submit("some:thing")]
            with trouble.fault(Fault("pwrite64", 28, lasting=True), 0), pytest.raises(StoreFull):
                app.submit("some:thing")
            accepted.append(app.submit("some:thing"))
            with trouble.fault(Fault("sync", 5), 0), pytest.raises(StoreUnavailable, match="a sync has failed"):
                app.submit("some:thing")
            with pytest.raises(StoreUnavailable, match="by starting this program again"):
                app.submit("some:thing")
        with duly.App(url) as app:
            accepted.append(app.submit("some:thing"))
            assert {task.id for task in accepted} <= {task.id for task in app.tasks()}


# who holds the store up -----------------------------------------------------------------------------------------------


class Stopped:
    """A submitter that has stopped in the midst of its commit."""

    def __init__(self, place: Place, at: int) -> None:
        command = [sys.executable, "-m", "tests.faults.stuck", place.url, str(at)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=place.environment(), stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.task = self.process.stdout.readline().strip()
        eventually(lambda: Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)

    def ends(self, number: signal.Signals) -> str:
        """Kill it or have it go on; return what it has said since."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=30)[0].strip()


def test_who_is_killed_inside_a_transaction_holds_nobody_up(place: Place, run: Run) -> None:
    place.start("-c", "1")
    accepted = [place.app.submit(work.passport(0.0))]
    longest = 0.0
    rounds = run.count(50)
    for _ in range(rounds):
        with Stopped(place, run.dice.randint(1, 4)) as stopped:
            stopped.ends(signal.SIGKILL)
        since = time.monotonic()
        accepted.append(place.app.submit(work.passport(0.0)))
        longest = max(longest, time.monotonic() - since)
        assert accepted[-1].result(timeout=30)
    run.figure("killed inside a transaction", rounds)
    run.figure("longest submit afterwards", longest, "< 5 s")
    assert longest < 5
    check(place, [task.id for task in accepted])


def test_others_get_a_typed_error_while_the_holder_of_the_lock_is_stopped(place: Place, run: Run) -> None:
    worker = place.start("-c", "1")
    before = place.app.submit(work.passport(0.0))
    assert before.result(timeout=30)
    with Stopped(place, run.dice.randint(1, 4)) as stopped:
        since = time.monotonic()
        with pytest.raises(StoreBusy, match="another process has held the write lock for more than 10 s"):
            place.app.submit(work.passport(0.0))
        took = time.monotonic() - since
        assert 10 <= took < 20
        run.figure("StoreBusy after", took, "10 s and a turn at the gate")
        assert stopped.ends(signal.SIGCONT) == "submitted"
    after = place.app.submit(work.passport(0.0))
    assert all(place.app.handle(task_id).result(timeout=60) for task_id in (stopped.task, after.id))
    assert worker.poll() is None
    assert place.stop(worker) == 0
    check(place, [before.id, stopped.task, after.id])


# a store that is taken away -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["deleted or moved", "replaced"])
def test_a_worker_stops_when_its_store_is_taken_away(place: Place, how: str) -> None:
    worker = place.start("-c", "1")
    accepted = [place.app.submit(work.passport(0.0)) for _ in range(3)]
    assert [task.result(timeout=30) for task in accepted]
    files = [name for name in os.listdir(place.folder) if name.startswith("duly.db")]
    for name in files:
        os.rename(place.folder / name, place.folder / f"away.{name}")
    if how == "replaced":
        duly.App(f"sqlite:///{place.folder}/other.db").submit("some:thing")
        os.rename(place.folder / "other.db", place.folder / "duly.db")
    assert worker.wait(30) == UNREACHABLE, place.said()
    assert f"was {how} while it was in use" in place.said()
    with pytest.raises(StoreUnavailable, match=f"was {how} while it was in use"):
        eventually(lambda: accepted.append(place.app.submit(work.passport(0.0))))  # it looks once a second
    place.app.close()
    for name in files:
        os.rename(place.folder / f"away.{name}", place.folder / name)
    place.app = duly.App(place.url)
    worker = place.start("-c", "1")
    ids = [task.id for task in [*accepted, place.app.submit(work.passport(0.0))]]
    assert [place.app.handle(task_id).result(timeout=30) for task_id in ids]
    check(place, ids)
