"""Where a server keeps the store its clock alone counts: those of workers may be wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.checker import check_file
from tests.faults.effects import read
from tests.faults.load import ACTIONS
from tests.faults.run import Run
from tests.faults.stepping import SteppedClock
from tests.place import ROOT, Place

DAY = 86_400_000_000
MINUTE = 60_000_000
TASKS = 1_500
STEPPED = Path(__file__).parent / "stepped"

Wrong = Callable[[int], dict[str, str]]


@pytest.fixture
def wrong(place: Place) -> Wrong:
    """Returns the surroundings of a process whose clock is so many days ahead."""
    plain = place.environment()

    def surroundings(days: int) -> dict[str, str]:
        clock = SteppedClock(place.folder / f"clock{days}")
        clock.step(days * DAY)
        return {**plain, "STEPPED_CLOCK": str(clock.path), "PYTHONPATH": f"{STEPPED}:{plain['PYTHONPATH']}"}

    return surroundings


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_workers_whose_clocks_are_off_by_a_day_do_all_at_its_time(
    run: Run, place: Place, wrong: Wrong, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = time.time_ns() // 1000
    for days in (-1, 0, 1):
        monkeypatch.setattr(place, "environment", lambda days=days: wrong(days))
        place.start("-c", "1")
    passports = [place.app.passport(*run.dice.choice(ACTIONS)) for _ in range(run.count(TASKS))]
    tasks = list(place.app.submit_many(passports))
    tasks += [place.app.submit("faults:work", {"seconds": 0}, delay=run.dice.uniform(0, 3)) for _ in range(20)]
    results = [task.wait(60) for task in tasks]
    end = time.time_ns() // 1000
    assert {result.state for result in results} == {"succeeded"}
    lead = time.time_ns() // 1000 - time.monotonic_ns() // 1000
    effects = [effect._replace(at=effect.moment + lead) for effect in read(place.effects)]
    check_file(place.url, [task.id for task in tasks], effects)
    moments = [event.at.timestamp() * 1e6 for task in tasks for event in place.app.look(task.id)[1]]
    assert begin - MINUTE < min(moments) <= max(moments) < end + MINUTE, "somebody's own clock decided"


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_who_submits_with_a_clock_that_is_off_by_a_day_delays_nothing_by_it(place: Place, wrong: Wrong) -> None:
    for days in (-1, 1):
        for date in ("--delay", "--run-at"):
            submit = [sys.executable, "-m", "duly", "submit", "faults:work", '{"seconds": 0}', date, "90s"]
            subprocess.run(submit, cwd=ROOT, env={**wrong(days), "DULY_APP": place.served}, check=True)
    rows = [place.app.look(task.id)[0] for task in place.app.tasks()]
    assert [row.run_at - row.submitted for row in rows] == [90_000_000] * 4
