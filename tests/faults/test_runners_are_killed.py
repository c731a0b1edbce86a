"""Runners of all kinds, and the forks of some, are killed at any moment: who ran there is charged, and nobody else."""

from __future__ import annotations

import pytest

from tests.faults.checker import check
from tests.faults.killer import Killer
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import ON_BOTH, Place

HITS = 300
KINDS = ("faults:work", "faults:fresh", "faults:shared")


@pytest.fixture
def killer(place: Place, run: Run) -> Killer:
    return Killer(place, run, "-c", "3")


def submitted(place: Place, run: Run, count: int) -> list[str]:
    dice = run.dice
    passports = (
        place.app.passport(dice.choice(KINDS), {"seconds": dice.randint(1, 100) / 1000}, max_attempts=9)
        for _ in range(count)
    )
    return [task.id for task in place.app.submit_many(passports)]


@ON_BOTH
def test_runners_of_all_kinds_are_killed_and_only_what_they_ran_is_charged(place, run, killer):
    ids, most = [], run.count(HITS)
    killer.start(2)
    while killer.hits < most:
        ids += submitted(place, run, 20)
        run.pause(0.0, 0.1)
        killer.hit_runner()
    eventually(lambda: not {task.state for task in place.app.tasks()} & {"ready", "scheduled", "running"}, 300)
    assert set(killer.stop_all()) == {0}
    check(place, ids)
    rows = place.app.ended(ids)
    failed = [row for row in rows if row.cause is not None]
    assert all((row.cause, row.deaths) == ("quarantined", 3) for row in failed), failed
    deaths, losses = sum(row.deaths for row in rows), sum(row.losses for row in rows)
    assert 0 < deaths <= killer.hits
    for row in rows:
        if row.action != "faults:shared":
            assert set(place.kinds(place.app.handle(row.id))) <= {"init", "start", "success", "retry", "fail"}
    run.figure("runners and forks killed", killer.hits)
    run.figure("tasks", len(ids))
    run.figure("deaths charged", deaths)
    run.figure("losses", losses)
    run.figure("tasks that ended by it", len(failed))
