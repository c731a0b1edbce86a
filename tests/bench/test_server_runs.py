from __future__ import annotations

from pathlib import Path

import pytest

from bench.figures.pg_drain import PG_DRAIN
from bench.figures.pg_submit import PG_SUBMIT_MANY
from bench.measure import Effort, Figure, measured, rows_of
from bench.server import on_server
from bench.sides import this
from bench.trial import Failed, Trial

TINY = Effort(repeats=1, seconds=0.1, tasks=1_000, idle_seconds=0.2, waiting=0)


@pytest.mark.parametrize("figure", [PG_DRAIN, PG_SUBMIT_MANY], ids=lambda figure: figure.name)
def test_a_figure_is_measured_on_a_server_beside_its_raw_limit(figure: Figure, tmp_path: Path) -> None:
    for row in rows_of(figure, measured(figure, TINY, [this()], tmp_path, print)):
        assert row.value is not None
        assert row.raw is not None
        assert row.ratio == pytest.approx(row.value / row.raw)


def test_a_trial_beside_another_has_a_database_of_its_own(tmp_path: Path) -> None:
    with on_server(Trial(this(), tmp_path)) as there:
        one, two = there.beside("one"), there.beside("two")
        one.submit("bench:noop", 3, {"blob": ""})
        two.submit("bench:noop", 1, {"blob": ""})
        assert [side.read("select count(*) from task") for side in (one, two)] == [(3,), (1,)]
        with pytest.raises(Failed, match="not for 0 s: select false"):
            one.until("select false", 0)
