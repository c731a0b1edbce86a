"""Repeats in turn, and what is said of them.

A figure is measured several times, each time between a measurement of the raw limit and, if wanted, one of another
revision: what changes on the machine in the meantime then changes all of them.
"""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, TypeAlias

from bench.sides import Side
from bench.strays import sweep
from bench.trial import Failed, Trial

Sample: TypeAlias = dict[str, float]
"""What one measurement came to: a value for each line of its figure."""

Progress: TypeAlias = Callable[[str], None]


class Effort(NamedTuple):
    """How much to measure: how often, and each time the seconds and the tasks drained.

    And once the seconds of idling, and the tasks that wait while others are drained.
    """

    repeats: int
    seconds: float
    tasks: int
    idle_seconds: float
    waiting: int


FULL = Effort(repeats=5, seconds=3.0, tasks=100_000, idle_seconds=60.0, waiting=1_000_000)
QUICK = Effort(repeats=2, seconds=1.0, tasks=20_000, idle_seconds=5.0, waiting=200_000)


class Line(NamedTuple):
    """One number of a figure. `must` and `aim` bound it, or with `of_raw` its ratio to the raw limit.

    They are the least that it may be, with `less` the most.
    """

    name: str
    unit: str
    must: float
    aim: float
    less: bool = False
    of_raw: bool = False


Measure: TypeAlias = Callable[[Trial, Effort], Sample]


class Figure(NamedTuple):
    """What is measured by one way to measure it: on duly, and on the raw limit of the same kind if there is one.

    `once`: not repeated, for one measurement takes as long as all repeats of others.
    """

    name: str
    lines: Sequence[Line]
    duly: Measure
    raw: Measure | None = None
    once: bool = False

    def repeats(self, effort: Effort) -> int:
        """How often it is measured."""
        return 1 if self.once else effort.repeats


@dataclasses.dataclass(frozen=True)
class Against:
    """The other revision: its median, and how many times that this one's value is, with the range of that.

    None where there are no repeats in which both were measured.
    """

    name: str
    value: float | None = None
    ratio: float | None = None
    min: float | None = None
    max: float | None = None


@dataclasses.dataclass(frozen=True)
class Row:
    """What a line came to: medians over the repeats, and their range; None for what could not be measured.

    `ratio` is value to raw, the median of what each repeat had; it, and not the value, is judged by bounds `of_raw`.
    `failed` of the repeats gave no value.
    """

    line: Line
    value: float | None = None
    min: float | None = None
    max: float | None = None
    raw: float | None = None
    ratio: float | None = None
    against: Against | None = None
    failed: int = 0

    @property
    def met(self) -> bool:
        """Whether it is what it must be."""
        return self.reaches(self.line.must)

    def reaches(self, bound: float) -> bool:
        """Whether it is as good as a bound."""
        judged = self.ratio if self.line.of_raw else self.value
        if judged is None:
            return False
        return judged <= bound if self.line.less else judged >= bound

    def as_dict(self) -> dict[str, Any]:
        """The row as it is written into files; bounds of the ratio are told in the unit of the value, too."""
        scale = self.raw if self.line.of_raw else 1.0
        row = {
            "name": self.line.name,
            "value": self.value,
            "unit": self.line.unit,
            "min": self.min,
            "max": self.max,
            "raw": self.raw,
            "ratio": self.ratio,
            "must": None if scale is None else self.line.must * scale,
            "aim": None if scale is None else self.line.aim * scale,
            "met": self.met,
        }
        return row if self.against is None else {**row, "against": dataclasses.asdict(self.against)}


Samples: TypeAlias = dict[str, list[Sample]]
"""By side, "raw" among them, one sample for each repeat."""


def measured(figure: Figure, effort: Effort, sides: Sequence[Side], folder: Path, progress: Progress) -> Samples:
    """Measure a figure, raw limit and sides in turn; who goes first among the sides alternates."""
    samples: Samples = {"raw": [], **{side.name: [] for side in sides}}
    repeats = figure.repeats(effort)
    for repeat in range(repeats):
        order = sides if repeat % 2 == 0 else sides[::-1]
        for name, side, measure in [("raw", sides[0], figure.raw), *((s.name, s, figure.duly) for s in order)]:
            if measure is None:
                samples[name].append({})
                continue
            sample, told = _once(measure, side, effort, folder)
            samples[name].append(sample)
            progress(f"{figure.name} {repeat + 1}/{repeats} {name}: {told}")
    return samples


def _once(measure: Measure, side: Side, effort: Effort, folder: Path) -> tuple[Sample, str]:
    """Measure in a fresh folder; also say in words what came of it."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as place:
        try:
            sample = measure(Trial(side, Path(place)), effort)
        except Failed as error:
            return {}, f"cannot be measured: {error}"
        finally:
            left = sweep()
    told = "  ".join(f"{line} {value:,.6g}" for line, value in sample.items())
    return sample, told if not left else f"{told} (and left {left} processes behind)"


def rows_of(figure: Figure, samples: Samples) -> list[Row]:
    """Say what samples come to. The first side is the one that is judged, a second one is compared."""
    raw, (name, new), *others = samples["raw"], *((name, s) for name, s in samples.items() if name != "raw")
    del name
    return [
        _row(line, _values(line, raw), _values(line, new), [(other, _values(line, s)) for other, s in others])
        for line in figure.lines
    ]


def _values(line: Line, samples: Iterable[Sample]) -> list[float]:
    return [sample.get(line.name, math.nan) for sample in samples]


def _row(line: Line, raw: list[float], new: list[float], others: list[tuple[str, list[float]]]) -> Row:
    values = _known(new)
    against = _against(new, *others[0]) if others else None
    if not values:
        return Row(line, against=against, failed=len(new))
    ratios = _ratios(new, raw)
    return Row(
        line,
        value=median(values),
        min=min(values),
        max=max(values),
        raw=median(_known(raw)) if ratios else None,
        ratio=median(ratios) if ratios else None,
        against=against,
        failed=len(new) - len(values),
    )


def _against(new: list[float], name: str, old: list[float]) -> Against:
    ratios = _ratios(new, old)
    if not ratios:
        return Against(name)
    return Against(name, median(_known(old)), median(ratios), min(ratios), max(ratios))


def _known(values: Iterable[float]) -> list[float]:
    return [value for value in values if not math.isnan(value)]


def _ratios(above: Iterable[float], below: Iterable[float]) -> list[float]:
    return _known(a / b if b else math.nan for a, b in zip(above, below, strict=True))


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that this share of all do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
