"""Row 9: the wall clock is set under load, by seconds and by days, forwards and backwards."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.faults.checker import check
from tests.faults.effects import Effect, by_task, read
from tests.faults.run import Run
from tests.faults.shop import SOON
from tests.faults.stepping import SteppedClock, SteppedPlace

SECOND = 1_000_000
DAY = 86_400 * SECOND
POLL = 1 * SECOND
LOADED = 5 * SECOND
"""What a busy machine may take besides."""

SNOOZE = 3 * SECOND // 10
SOON_MOST = round(SOON.most * SECOND)
ROUNDING = 10_000
AGAIN = {"retry": "run_at", "snooze": "until"}
ACTIONS: list[tuple[str, dict[str, float]]] = [
    ("faults:work", {"seconds": 0.01}),
    ("faults:flaky", {"fails": 2}),
    ("faults:snooze", {"seconds": SNOOZE / SECOND}),
]


class Submitted(NamedTuple):
    """A task, when it was submitted by the monotonic clock, and its date."""

    task: str
    moment: int
    date: int | None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SteppedPlace]:
    place = SteppedPlace(tmp_path, "tests.faults.shop:app")
    yield place
    place.end()


def test_steps_of_the_clock_make_nothing_early_or_late_and_nothing_runs_twice(run: Run, place: SteppedPlace) -> None:
    for _ in range(2):
        place.start("-c", "4")
    submitted: list[Submitted] = []
    over = threading.Event()
    load = threading.Thread(target=_submit, args=(place, Run(run.seed), submitted, over))
    load.start()
    steps = run.count(200)
    for _ in range(steps):
        run.pause(0.05, 0.5)
        place.clock.step(_step(run))
    over.set()
    load.join()
    place.clock.step(max(0, max(one.date or 0 for one in submitted) - place.clock()) + DAY)  # all are due
    results = [place.app.handle(one.task).wait(60) for one in submitted]

    check(place, [one.task for one in submitted], clocks=False)
    assert {result.state for result in results} == {"succeeded"}
    done = by_task(read(place.effects))
    late = [lateness for one in submitted for lateness in _judge(place, one, done[one.task])]
    run.figure("steps", steps, "200")
    run.figure("tasks", len(submitted))
    run.figure("late by at most", f"{max(late) / SECOND:.2f} s", "one poll, 1 s, and what a busy machine takes")


def _step(run: Run) -> int:
    """A second or a day, or anything between, forwards or backwards."""
    return round(run.dice.choice((-1, 1)) * SECOND * 86_400 ** run.dice.random())


def _submit(place: SteppedPlace, run: Run, submitted: list[Submitted], over: threading.Event) -> None:
    """Submit tasks that begin now, after a while, on another day, that fail at first, and that sleep once."""
    while not over.is_set():
        date = _date(run, place.clock)
        given = {} if date is None else {"run_at": datetime.fromtimestamp(date / SECOND, UTC)}
        options = {"priority": run.dice.choice(("high", "medium", "low")), **given}
        moment = place.clock.moment()
        handle = place.app.submit(*run.dice.choice(ACTIONS), **options)
        submitted.append(Submitted(handle.id, moment, date))
        run.pause(
            *run.dice.choices(((0.0, 0.04), (2.0, 3.0)), (50, 1))[0]
        )  # where nothing comes, nothing is looked for


def _date(run: Run, clock: SteppedClock) -> int | None:
    """No date, one that is soon, or one that takes a step of the clock."""
    ahead = run.dice.choice((None, run.dice.uniform(0, 2), 86_400 ** run.dice.random()))
    return None if ahead is None else clock() + round(ahead * SECOND)


def _judge(place: SteppedPlace, one: Submitted, effects: list[Effect]) -> Iterator[int]:
    """Compare when a task ran with when it was to; yield by how much it was late each time."""
    begun = [effect for effect in effects if effect.what == "begin"]
    again = [event for event in place.app.look(one.task)[1] if event.kind in AGAIN]
    dates = [(event.data or {})[AGAIN[event.kind]] for event in again]
    assert len(begun) == 1 + len(again), f"{one}: ran {len(begun)} times, was to run {1 + len(again)} times"
    decided = one.moment
    for effect, date in zip(begun, [one.date or 0, *dates], strict=True):
        due = place.clock.due(date - ROUNDING, decided, effect.moment)
        assert due, f"{one}: attempt {effect.attempt} began before its date {date}"
        assert max(due) < POLL + LOADED, f"{one}: attempt {effect.attempt} was due for {max(due)} µs"
        yield max(due)
        decided = effect.moment
    for effect, event, date in zip(begun, again, dates, strict=False):
        assert _right(place.clock, effect.moment, event.kind, date), f"{one}: {event} was not reckoned by the clock"


def _right(clock: SteppedClock, begun: int, kind: str, date: int) -> bool:
    """Whether a date was reckoned by what the clock showed when it was decided, soon after this moment."""
    least, most = (SNOOZE, SNOOZE) if kind == "snooze" else (0, SOON_MOST)
    return any(
        begin + lead + least - ROUNDING <= date <= end + lead + most + ROUNDING
        for begin, end, lead in clock.stretches(begun, begun + LOADED)
    )
