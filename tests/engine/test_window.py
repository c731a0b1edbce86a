from __future__ import annotations

from itertools import permutations

import pytest

from duly.engine.window import Window
from tests.engine.making import attempt


@pytest.fixture
def window() -> Window:
    return Window()


def popped(window: Window) -> list[int]:
    return [window.pop().held.key for _ in range(len(window))]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_the_most_urgent_comes_first_by_band_then_rank_then_age(window: Window, order: tuple[int, ...]) -> None:
    held = [
        attempt(9, band=0, rank=50),
        attempt(4, band=1, rank=-5),
        attempt(2, band=1, rank=10),
        attempt(3, band=1, rank=10),
    ]
    for place in order:
        window.put(held[place])
    assert window.worst() == (1, 10)
    assert window.first().held.key == 9
    assert popped(window) == [9, 4, 2, 3]


def test_an_urgent_newcomer_overtakes_what_waits_longer(window: Window) -> None:
    window.put(attempt(1, band=1))
    window.put(attempt(2, band=0))
    assert popped(window) == [2, 1]


@pytest.mark.parametrize("gone", range(1, 7))
def test_a_task_that_is_taken_out_leaves_the_others_in_order(gone: int) -> None:
    held = {key: attempt(key, rank=key) for key in range(1, 7)}
    for order in permutations(held):
        window = Window()
        for key in order:
            window.put(held[key])
        assert window.remove(gone) is held[gone]
        assert window.remove(gone) is None
        assert popped(window) == [key for key in held if key != gone]


def test_all_can_be_taken_at_once(window: Window) -> None:
    for key in (1, 2):
        window.put(attempt(key))
    assert {held.held.key for held in window.take_all()} == {1, 2}
    assert (len(window), window.worst()) == (0, None)


def test_without_knowledge_it_has_room_for_as_many_as_runners_are_idle(window: Window) -> None:
    assert window.room(4, idle=3) == 3
    window.put(attempt(1))
    assert window.room(4, idle=3) == 2
    for key in (2, 3, 4):
        window.put(attempt(key))
    assert window.room(4, idle=3) == 0


def test_it_has_room_for_more_where_tasks_are_known_to_be_short(window: Window) -> None:
    window.observe(attempt(1), 0.001)
    assert window.room(2, idle=0) == 40
    assert window.room(0, idle=0) == 0


def test_a_lane_learns_for_itself_and_the_window_from_all(window: Window) -> None:
    short, long = attempt(1), attempt(2)
    short.time, long.time = window.time_of(1), window.time_of(2)
    window.observe(short, 0.001)
    window.observe(long, 60.0)
    assert window.time_of(1).seconds == pytest.approx(0.001)
    assert window.time_of(2).seconds == pytest.approx(60.0)
    assert window.time_of(3).seconds is None
    assert window.room(2, idle=0) == int(2 * 0.020 / 0.0015), "one long task moves the whole by one step"
