"""What a node holds by the store and what it has: a difference that stays is mended from either side."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import duly
from duly.core.task import Held
from duly.engine.ledger import Ledger
from tests.engine import errands
from tests.helpers import eventually

SOON = 10
"""Seconds; the tests that take a guard away wait for these."""


def held(key: int, claim: int = 1) -> Held:
    return Held(key, claim, f"id-{key}", 1, 1, 0, 1)


def test_what_differs_once_is_an_exchange_under_way() -> None:
    ledger = Ledger()
    assert ledger.compare([held(1)], {(2, 1)}, set()) == ([], set())
    assert ledger.compare([held(3)], {(4, 1)}, set()) == ([], set())
    assert ledger.compare([held(3, claim=2)], {(4, 2)}, set()) == ([], set())


def test_what_differs_twice_in_a_row_is_a_fault() -> None:
    ledger = Ledger()
    ledger.compare([held(1), held(2)], {(2, 1), (3, 1)}, set())
    assert ledger.compare([held(1), held(2)], {(2, 1), (3, 1)}, set()) == ([held(1)], {(3, 1)})
    assert ledger.compare([held(2)], {(2, 1)}, set()) == ([], set())


def test_what_is_being_told_is_no_difference() -> None:
    ledger = Ledger()
    for _ in range(3):
        assert ledger.compare([held(1)], {(2, 1)}, {(1, 1), (2, 1)}) == ([], set())


def planted(folder: Path, statement: str, *bindings: str | int) -> None:
    connection = apsw.Connection(f"{folder}/tasks.db")
    connection.set_busy_timeout(10_000)
    connection.execute(statement, bindings)
    connection.close()


def test_a_claim_that_a_node_does_not_know_of_is_given_back(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.02) as app:
        nothing = app.action("errand:nothing")(errands.nothing)
        with app.worker(1):
            nothing.submit().result(timeout=SOON)
            ((node, _),) = app.nodes()
            later = nothing.using(delay="1h").submit()
            planted(
                tmp_path,
                "update task set state = 3, node = ?, claim = 7, attempt = 1, run_at = null where id = ?",
                node.number,
                later.id,
            )
            assert later.wait(SOON).statistics.attempts == 1
    assert "and not here: given back" in caplog.text


def test_what_runs_though_it_is_anothers_by_now_is_stopped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.02) as app:
        stay = app.action("errand:stay")(errands.stay)
        nothing = app.action("errand:nothing")(errands.nothing)
        with app.worker(1):
            handle = stay.submit()
            eventually(lambda: "start" in [event.kind for event in app.look(handle.id)[1]])
            planted(tmp_path, "update task set claim = claim + 1, node = 4711 where id = ?", handle.id)
            nothing.submit().result(timeout=SOON)
            assert handle.refresh().state == "running"
    assert "and still here: stopped" in caplog.text
