"""What a node takes for the store's time may be a little late, where it was held up, and is never early."""

from __future__ import annotations

import time

import pytest

from duly.engine.clock import Clock

HELD_UP = 0.02


def wall() -> int:
    return time.time_ns() // 1000


def held_up() -> None:
    until = time.monotonic() + HELD_UP
    while time.monotonic() < until:
        pass


@pytest.fixture(params=["before", "after"])
def clock(request: pytest.FixtureRequest) -> Clock:
    """One whose reader is held up, before or after it has the time."""

    def read() -> int:
        held_up() if request.param == "before" else None
        now = wall()
        held_up() if request.param == "after" else None
        return now

    clock = Clock()
    clock.follow(read)
    return clock


def test_a_moment_just_past_is_not_told_for_earlier(clock: Clock) -> None:
    earliest, moment = wall(), time.monotonic()
    assert earliest <= clock.at(moment) <= wall()


def test_a_date_by_this_machines_clock_is_not_told_for_earlier(clock: Clock) -> None:
    date = wall() + 1_000_000
    assert date <= clock.of_wall(date) <= date + 2 * HELD_UP * 1e6
