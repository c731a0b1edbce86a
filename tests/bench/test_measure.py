from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.measure import Effort, Figure, Line, Row, Sample, Samples, measured, quantile, rows_of
from bench.sides import Side
from bench.trial import Failed, Trial

RATE = Line("rate", "/s", must=20, aim=60)
LAG = Line("lag", "ms", must=1.5, aim=0.7, less=True)
SHARE = Line("share", "/s", must=0.6, aim=0.9, of_raw=True)
EFFORT = Effort(repeats=3, seconds=0.0, tasks=0, idle_seconds=0.0, waiting=0)


def nothing(_trial: Trial, _effort: Effort) -> Sample:
    raise AssertionError


def row(line: Line, raw: list[float], new: list[float], old: list[float] | None = None) -> Row:
    def samples(values: list[float]) -> list[Sample]:
        return [{line.name: value} for value in values]

    by_side: Samples = {"raw": samples(raw), "new": samples(new)}
    if old is not None:
        by_side["old"] = samples(old)
    (found,) = rows_of(Figure("figure", (line,), nothing, nothing), by_side)
    return found


class Bench:
    """Sides that answer from lists, and what was measured in which order."""

    def __init__(self, **values: list[float | str]) -> None:
        self.order: list[str] = []
        self.told: list[str] = []
        self.stores: list[Path] = []
        self._values: dict[str, Iterator[float | str]] = {name: iter(found) for name, found in values.items()}
        self.sides = [Side(name, Path()) for name in values if name != "raw"]

    def run(self, folder: Path, *, once: bool = False, raw: bool = True) -> Samples:
        def duly(trial: Trial, _effort: Effort) -> Sample:
            return self._next(trial.side.name, trial)

        def limit(trial: Trial, _effort: Effort) -> Sample:
            return self._next("raw", trial)

        figure = Figure("figure", (RATE,), duly, limit if raw else None, once)
        return measured(figure, EFFORT, self.sides, folder, self.told.append)

    def _next(self, name: str, trial: Trial) -> Sample:
        self.order.append(name)
        self.stores.append(trial.store)
        value = next(self._values[name])
        if isinstance(value, str):
            raise Failed(value)
        return {"rate": value}


def test_a_row_tells_the_median_and_the_range() -> None:
    found = row(RATE, raw=[100, 100, 100], new=[30, 90, 40])
    assert (found.value, found.min, found.max) == (40, 30, 90)


def test_the_ratio_is_the_median_of_what_each_repeat_had() -> None:
    found = row(RATE, raw=[100, 10, 100], new=[50, 9, 40])
    assert (found.raw, found.ratio) == (100, 0.5)


@pytest.mark.parametrize(("value", "met"), [(19.9, False), (20.0, True), (70.0, True)])
def test_a_value_must_reach_its_bound(value: float, met: bool) -> None:
    assert row(RATE, raw=[1], new=[value]).met is met


@pytest.mark.parametrize(("value", "met"), [(1.6, False), (1.5, True), (0.1, True)])
def test_what_is_to_be_small_must_not_exceed_its_bound(value: float, met: bool) -> None:
    assert row(LAG, raw=[1], new=[value]).met is met


def test_a_bound_of_the_raw_limit_judges_the_ratio() -> None:
    assert row(SHARE, raw=[1000], new=[600]).met
    assert not row(SHARE, raw=[1000], new=[599]).met
    assert not row(SHARE, raw=[1000], new=[600]).reaches(SHARE.aim)


def test_a_row_is_written_with_its_bounds_in_the_unit_of_its_value() -> None:
    assert row(SHARE, raw=[1000], new=[500]).as_dict() == {
        "name": "share",
        "value": 500,
        "unit": "/s",
        "min": 500,
        "max": 500,
        "raw": 1000,
        "ratio": 0.5,
        "must": 600,
        "aim": 900,
        "met": False,
    }


def test_without_its_raw_limit_a_value_is_told_but_a_bound_of_it_is_not_met() -> None:
    found = row(SHARE, raw=[float("nan")], new=[500]).as_dict()
    assert (found["value"], found["raw"], found["ratio"], found["must"], found["met"]) == (500, None, None, None, False)


def test_another_revision_is_compared_repeat_by_repeat() -> None:
    against = row(RATE, raw=[1, 1, 1], new=[20, 40, 30], old=[10, 10, 10]).against
    assert against is not None
    assert (against.name, against.value, against.ratio, against.min, against.max) == ("old", 10, 3, 2, 4)


def test_another_revision_that_cannot_be_measured_is_named_without_numbers() -> None:
    against = row(RATE, raw=[1], new=[20], old=[float("nan")]).against
    assert against is not None
    assert (against.name, against.value, against.ratio) == ("old", None, None)


def test_raw_limit_and_sides_take_turns_and_the_sides_alternate(tmp_path: Path) -> None:
    bench = Bench(raw=[1, 1, 1], new=[1, 1, 1], old=[1, 1, 1])
    bench.run(tmp_path)
    assert bench.order == ["raw", "new", "old", "raw", "old", "new", "raw", "new", "old"]


def test_samples_come_back_by_side_in_the_order_of_repeats(tmp_path: Path) -> None:
    samples = Bench(raw=[1, 2, 3], new=[4, 5, 6], old=[7, 8, 9]).run(tmp_path)
    values = {name: [sample["rate"] for sample in found] for name, found in samples.items()}
    assert values == {"raw": [1, 2, 3], "new": [4, 5, 6], "old": [7, 8, 9]}


def test_each_measurement_has_a_folder_of_its_own_that_is_gone_afterwards(tmp_path: Path) -> None:
    bench = Bench(raw=[1, 1, 1], new=[1, 1, 1])
    bench.run(tmp_path)
    assert len(set(bench.stores)) == 6
    assert not list(tmp_path.iterdir())


def test_a_figure_of_long_measurements_is_not_repeated(tmp_path: Path) -> None:
    bench = Bench(raw=[1], new=[1])
    bench.run(tmp_path, once=True)
    assert bench.order == ["raw", "new"]


def test_a_repeat_that_fails_is_told_and_left_out(tmp_path: Path) -> None:
    bench = Bench(raw=[100, 100, 100], new=[30, "no runner could be started", 50])
    (found,) = rows_of(Figure("figure", (RATE,), nothing, nothing), bench.run(tmp_path))
    assert (found.value, found.ratio, found.failed) == (40, 0.4, 1)
    assert "figure 2/3 new: cannot be measured: no runner could be started" in bench.told


def test_a_side_that_cannot_be_measured_at_all_misses_what_it_must_reach(tmp_path: Path) -> None:
    bench = Bench(raw=[100, 100, 100], new=["no", "no", "no"])
    (found,) = rows_of(Figure("figure", (RATE,), nothing, nothing), bench.run(tmp_path))
    assert (found.value, found.met, found.failed) == (None, False, 3)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.001, 1)])
def test_a_quantile_is_the_least_value_that_so_many_do_not_exceed(share: float, value: int) -> None:
    assert quantile(list(range(100, 0, -1)), share) == value


def test_a_figure_without_a_raw_limit_is_told_by_its_value_alone(tmp_path: Path) -> None:
    bench = Bench(raw=[], new=[30, 90, 40])
    (found,) = rows_of(Figure("figure", (RATE,), nothing), bench.run(tmp_path, raw=False))
    assert (found.value, found.raw, found.ratio, found.failed) == (40, None, None, 0)
    assert bench.order == ["new", "new", "new"]
