from __future__ import annotations

import pytest

from duly.engine.ticker import Ticker


@pytest.fixture
def ticker() -> Ticker[str]:
    return Ticker()


def test_names_fall_due_earliest_first_and_once(ticker: Ticker[str]) -> None:
    for name, at in (("late", 3.0), ("early", 1.0), ("never", 9.0), ("between", 2.0)):
        ticker.set(name, at)
    assert ticker.due(3.0) == ["early", "between", "late"]
    assert ticker.due(3.0) == []
    assert ticker.due(9.0) == ["never"]


def test_names_of_one_moment_fall_due_in_the_order_in_which_they_were_set(ticker: Ticker[str]) -> None:
    for name in ("b", "a", "c"):
        ticker.set(name, 1.0)
    assert ticker.due(1.0) == ["b", "a", "c"]


def test_nothing_falls_due_before_its_moment(ticker: Ticker[str]) -> None:
    ticker.set("it", 1.0)
    assert ticker.due(0.999) == []
    assert ticker.due(1.0) == ["it"]


def test_setting_a_name_again_replaces_its_moment_also_by_a_later_one(ticker: Ticker[str]) -> None:
    ticker.set("it", 1.0)
    ticker.set("it", 2.0)
    assert ticker.due(1.5) == []
    assert ticker.due(2.0) == ["it"]


def test_soonest_moves_a_moment_forward_and_never_back(ticker: Ticker[str]) -> None:
    ticker.soonest("it", 3.0)
    ticker.soonest("it", 2.0)
    ticker.soonest("it", 4.0)
    assert ticker.wait(0.0, 9.0) == 2.0


def test_what_was_cleared_does_not_fall_due(ticker: Ticker[str]) -> None:
    ticker.set("it", 1.0)
    ticker.clear("it")
    ticker.clear("unknown")
    assert ticker.due(2.0) == []


@pytest.mark.parametrize(("moments", "wait"), [([], 5.0), ([12.0, 11.5], 1.5), ([9.0], 0.0), ([99.0], 5.0)])
def test_the_wait_is_until_the_first_moment_never_negative_and_never_longer_than_allowed(
    ticker: Ticker[str], moments: list[float], wait: float
) -> None:
    for place, at in enumerate(moments):
        ticker.set(str(place), at)
    assert ticker.wait(10.0, 5.0) == wait
