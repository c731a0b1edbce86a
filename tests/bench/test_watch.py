from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures.watch import WATCH
from bench.measure import Effort, measured, rows_of
from bench.sides import this

TINY = Effort(repeats=1, seconds=1.5, tasks=0, idle_seconds=0.0, waiting=0)


def test_watchers_in_other_processes_say_how_long_they_waited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"TASKS": 10, "UPDATES": 10, "WATCHERS": 2, "SETTLE_SECONDS": 0.1}
    for name, number in few.items():  # so that a busy machine keeps up with it
        monkeypatch.setattr(f"bench.figures.watch.{name}", number)
    lag, cpu = rows_of(WATCH, measured(WATCH, TINY, [this()], tmp_path, print))
    assert lag.value is not None
    assert 0 < lag.value < 10_000
    assert cpu.value is not None
    assert cpu.value < 200
