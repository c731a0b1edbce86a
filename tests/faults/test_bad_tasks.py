"""Tasks that harm whoever runs them come to their own ends, and nobody else comes to any harm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from duly.core.task import State
from duly.ports import TaskRow
from tests.faults import bad
from tests.faults.checker import check
from tests.faults.run import Run
from tests.place import Place

RUNNERS = "8"
GOOD_SECONDS = 0.02
SHARE = 0.7
COARSE_SHARE = 0.35
"""With so few as in a tenth, one that comes last decides; a soak measures."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, "tests.faults.bad:app")
    yield place
    place.end()


def submitted(place: Place, names: Sequence[str]) -> list[str]:
    """Submit these tasks, in this order; return their ids."""
    app = place.app
    good = {"seconds": GOOD_SECONDS}
    passports = [app.passport(name, good if name == "faults:work" else None) for name in names]
    return [handle.id for handle in app.submit_many(passports)]


def ended(place: Place, ids: Sequence[str], seconds: float = 300) -> list[TaskRow]:
    """The rows of these tasks, when all of them have ended."""
    for task in ids:
        assert place.app.handle(task).wait(seconds).state != "running"
    return [place.app.look(task)[0] for task in ids]


def rate(rows: Sequence[TaskRow]) -> float:
    """Tasks a second, from the first beginning to the last end."""
    first, last = min(row.started_at or 0 for row in rows), max(row.ended_at or 0 for row in rows)
    return len(rows) / (last - first) * 1e6


def test_bad_tasks_among_good_ones(place: Place, run: Run) -> None:
    bads = [run.dice.choice(list(bad.BAD)) for _ in range(run.count(300))]
    goods = run.count(5_000) * ["faults:work"]
    place.start("-c", RUNNERS)
    alone = rate(ended(place, submitted(place, goods)))

    names = bads + goods
    run.dice.shuffle(names)
    ids = submitted(place, names)
    rows = ended(place, ids)
    beside = rate([row for row in rows if row.action == "faults:work"])

    assert {row.state for row in rows if row.action == "faults:work"} == {State.SUCCEEDED}
    assert {row.attempt for row in rows if row.action == "faults:work"} == {1}, "nobody else is charged"
    wrong = [
        (row.action, row.cause, row.deaths, row.id)
        for row in rows
        if row.action in bad.BAD and (row.cause, row.deaths) != bad.BAD[row.action]
    ]
    assert not wrong
    check(place, ids)
    share = SHARE if run.soak else COARSE_SHARE
    run.figure(
        f"{len(bads)} bad among {len(goods):,} good, which are", beside / alone, f"at least {share} of {alone:.0f}/s"
    )
    assert beside >= share * alone


@pytest.mark.parametrize("what", ["time", "memory"])
def test_whoever_is_over_a_limit_is_stopped_in_time(place: Place, run: Run, what: str) -> None:
    ends = bad.LONG if what == "time" else bad.LARGE
    names = [run.dice.choice(list(ends)) for _ in range(run.count(200))]
    place.start("-c", "4")
    ids = submitted(place, names)
    rows = ended(place, ids)
    assert [(row.action, row.cause, row.deaths) for row in rows if (row.cause, row.deaths) != ends[row.action]] == []
    limit = bad.LIMIT if what == "time" else 0.0
    took = sorted(((row.ended_at or 0) - (row.started_at or 0)) / 1e6 for row in rows)
    check(place, ids)
    run.figure(f"{len(rows)} over the limit of {what}, stopped within", took[-1], f"< {limit + bad.GRACE + 1:.1f} s")
    assert took[-1] < limit + bad.GRACE + 1
