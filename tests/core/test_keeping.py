from __future__ import annotations

import pytest

from duly.core.keeping import DAY, HOUR, NEVER, SECOND, Aged, Calendar, Keep, Stretch, due_at, sort_out
from duly.core.task import State

KEEP = Keep(DAY, 3 * DAY)
NOW = 100 * DAY


def task(
    key: int = 1, state: State = State.SUCCEEDED, ago: int | None = 0, *, lane: int = 1, emptied: bool = False
) -> Aged:
    return Aged(key, lane, state, 0, None if ago is None else NOW - ago, emptied)


def test_a_week_and_a_month_are_the_defaults() -> None:
    assert Keep() == Keep(7 * DAY, 30 * DAY)


def test_lengths_are_told_as_they_are_given() -> None:
    assert str(Keep()) == "7d, failed 30d"
    assert str(Keep(0, None)) == "0s, failed for good"
    assert str(Keep(36 * HOUR, 90 * SECOND)) == "36h, failed 90s"


@pytest.mark.parametrize(
    ("aged", "at"),
    [
        (task(ago=0), NOW + DAY),
        (task(ago=HOUR), NOW + DAY - HOUR),
        (task(state=State.CANCELLED), NOW + DAY),
        (task(state=State.FAILED), NOW + 3 * DAY),
        (task(emptied=True), NOW + DAY + HOUR),
        (task(state=State.READY, ago=None), NOW + DAY),
        (task(state=State.RUNNING, ago=None), NOW + DAY),
    ],
)
def test_a_task_is_due_when_its_time_is_over_and_an_hour_later(aged: Aged, at: int) -> None:
    assert due_at(aged, KEEP, NOW) == at


def test_what_waits_is_not_looked_at_again_at_once_though_nothing_is_kept() -> None:
    assert due_at(task(state=State.READY, ago=None), Keep(0, 0), NOW) == NOW + SECOND
    assert due_at(task(ago=0), Keep(0, 0), NOW) == NOW


@pytest.mark.parametrize("state", [State.READY, State.SUCCEEDED, State.FAILED])
def test_what_is_kept_for_good_is_never_due(state: State) -> None:
    assert due_at(task(state=state, ago=None if state == State.READY else 0), Keep(None, None), NOW) == NEVER


def test_what_waits_may_fail_and_be_due_though_a_success_is_kept_for_good() -> None:
    assert due_at(task(state=State.READY, ago=None), Keep(None, DAY), NOW) == NOW + DAY


def test_who_is_due_is_emptied_or_removed_and_the_others_tell_when_to_look_again() -> None:
    tasks = [
        task(1, ago=DAY),
        task(2, ago=DAY - 5),
        task(3, ago=DAY + HOUR, emptied=True),
        task(4, ago=DAY, emptied=True),
        task(5, ago=DAY, lane=2),
        task(6, State.READY, ago=None),
    ]
    due = sort_out(tasks, {2: Keep(2 * DAY, 0)}, KEEP, NOW)
    assert (due.empty, due.remove, due.next) == ([(1, NOW - DAY)], [3], NOW + 5)
    assert sort_out(tasks[1:3], {}, KEEP, NOW).next == NOW + 5
    assert sort_out(tasks[:1], {}, KEEP, NOW).next == NOW + HOUR
    assert sort_out([], {}, KEEP, NOW) == ([], [], NEVER)


def test_a_calendar_gives_what_is_due_the_earliest_first() -> None:
    calendar = Calendar()
    for stretch in (Stretch(30, 0, 10), Stretch(10, 10, 20), Stretch(20, 20, 30), Stretch(NEVER, 30, 40)):
        calendar.add(stretch)
    assert calendar.take(9) is None
    assert calendar.take(25) == (10, 10, 20)
    assert calendar.take(25) == (20, 20, 30)
    assert calendar.take(25) is None
    assert len(calendar) == 2
    calendar.end_due = 50
    assert calendar.next_due() == 30


def test_a_stretch_that_was_made_one_with_another_is_not_given_again() -> None:
    calendar = Calendar()
    first, second = Stretch(10, 0, 10), Stretch(20, 10, 20)
    calendar.add(first)
    calendar.add(second)
    assert calendar.take(10) == first
    assert calendar.take_next(first) == second
    assert calendar.take_next(first) is None
    calendar.add(Stretch(40, 0, 20))
    assert calendar.take(30) is None
    assert calendar.take(40) == (40, 0, 20)
