from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bench.figures.isolation import FRESH, SHARED
from bench.figures.large import LARGE
from bench.figures.neighbour import NEIGHBOUR
from bench.figures.result import RESULT
from bench.figures.submit import SUBMIT, SUBMIT_LOOP, SUBMIT_MANY, SUBMIT_THREADS
from bench.measure import Effort, Figure, measured, rows_of
from bench.raw import echoes, sleeps, trips
from bench.sides import ROOT, Side, this
from bench.strays import forked, sweep
from bench.trial import Failed, Trial

TINY = Effort(repeats=1, seconds=0.2, tasks=5_000, idle_seconds=0.2, waiting=0)


@pytest.mark.parametrize(
    "figure",
    [SUBMIT, SUBMIT_THREADS, SUBMIT_LOOP, SUBMIT_MANY, NEIGHBOUR, RESULT, LARGE, FRESH, SHARED],
    ids=lambda figure: figure.name,
)
def test_a_figure_is_measured_with_real_processes_beside_its_raw_limit(figure: Figure, tmp_path: Path) -> None:
    (row,) = rows_of(figure, measured(figure, TINY, [this()], tmp_path, print))
    assert row.value is not None
    assert row.raw is not None
    assert row.value > 0
    assert row.ratio == pytest.approx(row.value / row.raw)
    assert json.loads(json.dumps(row.as_dict())) == row.as_dict()


def test_a_process_that_ends_badly_fails_the_measurement_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no-such-action"):
        Trial(this(), tmp_path).submit("no-such-action", 1, None)


def test_a_program_is_timed_from_its_start_to_its_end(tmp_path: Path) -> None:
    assert 0.1 <= Trial(this(), tmp_path).time("-c", "import duly, time; time.sleep(0.1)") < 30


def test_a_program_that_fails_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="no such thing"):
        Trial(this(), tmp_path).time("-c", "raise SystemExit('no such thing')")


def test_a_trial_beside_another_has_a_store_of_its_own(tmp_path: Path) -> None:
    trial = Trial(this(), tmp_path)
    one, two = trial.beside("one"), trial.beside("two")
    one.submit("bench:noop", 3, {"blob": ""})
    two.submit("bench:noop", 1, {"blob": ""})
    assert [side.read("select count(*) from task") for side in (one, two)] == [(3,), (1,)]


def test_the_raw_sleeps_are_many_at_a_time() -> None:
    assert sleeps.count(0.5) >= sleeps.AT_A_TIME


def test_the_raw_trips_come_back_with_each_task_done(tmp_path: Path) -> None:
    trial = Trial(this(), tmp_path)
    times = trips.taken(trial, 0.05)
    assert times
    assert all(0 < nanoseconds < 10e9 for nanoseconds in times)
    done = trial.read("select count(*) from task where state = 4 and id like 'ffffffff-%'")
    assert done == (len(times) + 1,)  # the first one is left out


def test_the_raw_echoes_end_with_their_children_gone() -> None:
    before = {child.pid for child in psutil.Process().children()}  # the tests' own server, say
    assert echoes.count(0.05) > 0
    assert {child.pid for child in psutil.Process().children()} <= before


def fail_beside_a_process(pids: list[int]) -> None:
    with forked(signal.pause) as pid:
        pids.append(pid)
        raise Failed


def test_a_forked_process_is_killed_also_when_the_measurement_raises() -> None:
    pids: list[int] = []
    with pytest.raises(Failed):
        fail_beside_a_process(pids)
    assert not psutil.pid_exists(pids[0])


def test_sweeping_leaves_a_process_alone_that_has_not_adopted() -> None:
    with forked(signal.pause) as pid:
        assert sweep() == 0
        assert psutil.pid_exists(pid)


def test_sweeping_kills_what_was_left_behind_by_processes_that_have_ended() -> None:
    leaves_one = ["sh", "-c", "sleep 30 >&- & echo $!"]
    program = f"""
import subprocess
from bench.strays import adopt, sweep
adopt()
print(int(subprocess.check_output({leaves_one})), sweep())
"""
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, timeout=30, check=True)
    pid, count = map(int, told.stdout.split())
    assert count == 1
    assert not psutil.pid_exists(pid)


def test_a_benchmark_that_is_terminated_leaves_no_process_and_no_file(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "bench"), "--quick", "wake"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as bench:
        below = started_by(psutil.Process(bench.pid))
        assert list(tmp_path.iterdir())
        bench.terminate()
        assert bench.wait(30) == 130
    assert not psutil.wait_procs(below, timeout=0)[1]
    assert not list(tmp_path.iterdir())


def started_by(process: psutil.Process) -> list[psutil.Process]:
    """The processes below this one, once there are some."""
    until, waiting = time.monotonic() + 30, threading.Event()
    below: list[psutil.Process] = []
    while not below and time.monotonic() < until:
        below = process.children(recursive=True)
        waiting.wait(0.01)
    assert below
    return below


def test_what_should_run_meanwhile_and_has_ended_fails_a_wait_for_its_tasks_at_once(tmp_path: Path) -> None:
    trial, since = Trial(this(), tmp_path), time.monotonic()
    with (
        trial.pipe() as pipe,
        pytest.raises(Failed, match=r"bench\.inside\.nothing ended with 1: .*No module named"),
        trial.process("bench.inside.nothing"),
    ):
        pipe.read(60)
    assert time.monotonic() - since < 30


def test_a_revision_that_cannot_do_it_is_told_by_its_own_words_alone(tmp_path: Path) -> None:
    source = tmp_path / "source" / "duly"
    source.mkdir(parents=True)
    (source / "__init__.py").write_text(
        "def App(): raise errors.NotAvailable('not in this release')\nfrom duly import errors"
    )
    (source / "errors.py").write_text("class NotAvailable(Exception): pass")
    with pytest.raises(Failed, match=r"^submit_one ended with 1: not in this release$"):
        Trial(Side("old", source.parent), tmp_path).run("submit_one", 0.1, 1)
