"""What every run under faults begins with, and what is said of all of them at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killer import Killer
from tests.faults.run import SOAK, Run
from tests.place import Place, url_for

HERE = Path(__file__).parent
SOAK_SECONDS = 7200
"""The time limit of one test in a soak."""


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    told = request.node.user_properties  # they go with the report, from pytest's workers, too
    run = Run(tell=lambda figure: told.append(("figure", figure)))
    told.append(("seed", run.seed))
    sys.stdout.write(f"{run}\n")  # pytest shows it with a failure
    return run


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A store and no worker yet; they will serve the App of `shop.py`. With `ON_BOTH` once for each kind of store."""
    place = Place(tmp_path, "tests.faults.shop:app", url_for(request))
    yield place
    place.end()


@pytest.fixture
def killer(place: Place, run: Run) -> Killer:
    return Killer(place, run, "-c", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and os.environ.get(SOAK):
            item.add_marker(pytest.mark.timeout(SOAK_SECONDS), append=False)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    lines = [line for report in reports if report.when == "call" and (line := _figures(report))]
    if lines:
        terminalreporter.section("figures")
        for line in lines:
            terminalreporter.write_line(line)


def _figures(report: pytest.TestReport) -> str:
    """What a run has told: its figures, how to repeat it, and how long it took."""
    told = report.user_properties
    figures = [str(figure) for name, figure in told if name == "figure"]
    seeds = [seed for name, seed in told if name == "seed"]
    if not figures:
        return ""
    name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
    outcome = "" if report.passed else "FAILED "
    return f"{outcome}{name}: {', '.join(figures)}; seed {seeds[0]}, {report.duration:.1f} s"
