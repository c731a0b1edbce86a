from __future__ import annotations

from bench.measure import Against, Line, Row
from bench.report import summary

RATE = Line("rate", "/s", must=20_000, aim=60_000)
LAG = Line("lag", "ms", must=1.5, aim=0.7, less=True)
SHARE = Line("share", "/s", must=0.6, aim=0.9, of_raw=True)


def test_a_row_shows_its_value_beside_the_raw_limit_and_its_bounds() -> None:
    lines = summary([Row(RATE, 45_000.4, 40_000, 50_000, 90_000, 0.5)]).splitlines()
    assert lines[0].split() == ["figure", "median", "range", "raw", "ratio", "must", "aim"]
    cells = [cell.strip() for cell in lines[1].split("  ") if cell]
    assert cells == ["rate", "45,000/s", "40,000 .. 50,000", "90,000", "0.50", ">= 20,000", ">= 60,000", "does"]


def test_what_meets_all_its_bounds_is_followed_by_nothing() -> None:
    assert summary([Row(LAG, 0.5, 0.4, 0.6, 0.1, 5.0)]).endswith("reaches its aim")


def test_each_miss_is_told_once_more_below_the_table() -> None:
    told = summary([Row(LAG, 2.0, 2.0, 2.0, 1.0, 2.0), Row(SHARE, 500, 500, 500, 1000, 0.5)])
    assert told.splitlines()[-2:] == [
        "lag misses what it must reach: 2 ms, not <= 1.5",
        "share misses what it must reach: 0.50 of the raw limit, not >= 0.6 raw",
    ]


def test_what_could_not_be_measured_is_a_miss() -> None:
    told = summary([Row(RATE, failed=5)])
    assert "n/a" in told
    assert told.splitlines()[-1] == "rate misses what it must reach: it could not be measured"


def test_a_row_of_fewer_repeats_says_so() -> None:
    assert "does, 2 failed" in summary([Row(RATE, 30_000, 30_000, 30_000, 60_000, 0.5, failed=2)])


def test_another_revision_adds_a_column() -> None:
    with_old = Row(RATE, 30_000, 1, 2, 3, 4, Against("old", 15_000, 2.0, 1.5, 2.5))
    without = Row(RATE, 30_000, 1, 2, 3, 4, Against("old"))
    head, first, second = summary([with_old, without]).splitlines()
    assert head.endswith("new/old")
    assert first.endswith("2.000 (1.500 .. 2.500)")
    assert second.endswith("n/a")
