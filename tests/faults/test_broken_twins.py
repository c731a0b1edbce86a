"""Where a guard is taken away some test fails: all of them in a soak, two by chance in `./x test`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.run import Run
from tests.faults.twins import GUARDS, broken, notices

BY_ROTATION = 2


@pytest.mark.timeout(600)
def test_that_a_guard_is_missing_is_noticed(run: Run, tmp_path: Path) -> None:
    guards = GUARDS if run.soak else run.dice.sample(GUARDS, BY_ROTATION)
    for guard in guards:
        noticed, said = notices(guard, tmp_path)
        assert noticed, f"no test fails without the guard: {guard.name}\n{said}"
    run.figure("twins noticed", len(guards), ", ".join(guard.name for guard in guards))


def test_each_guard_stands_where_its_twin_is_cut(tmp_path: Path) -> None:
    trees = [broken(guard, tmp_path) for guard in GUARDS]
    assert len({tree.name for tree in trees}) == len(GUARDS)
