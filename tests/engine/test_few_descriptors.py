"""Where descriptors are short there are fewer runners, and what is large still comes through."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from duly.app import App
from tests.engine import family
from tests.engine.making import SECONDS
from tests.helpers import eventually, no_descriptors

TEXT = "x" * 100_000


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        yield app


def test_fewer_runners_than_were_asked_for_do_all_and_large_values_come_through(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    echo = app.action("family:echo")(family.echo)
    have = app.action("family:have")(family.have)
    with no_descriptors(but=48), app.worker(16):
        handles = [echo.submit(TEXT) for _ in range(20)]
        parents = [have.submit(TEXT) for _ in range(5)]  # which ask for as much over their line
        assert all(handle.result(timeout=SECONDS) == TEXT for handle in handles)
        children = [app.handle(parent.result(timeout=SECONDS)) for parent in parents]
        assert all(child.result(timeout=SECONDS) == TEXT for child in children)
    assert "the last descriptors" in caplog.text
    assert {app.look(handle.id)[0].attempt for handle in [*handles, *parents, *children]} == {1}


def test_where_none_is_left_to_listen_by_who_waits_is_told_all_the_same(database: str) -> None:
    with App(database, poll=0.1) as app:
        echo = app.action("family:echo")(family.echo)
        handle = echo.submit(TEXT)
        with ThreadPoolExecutor(1) as threads:
            with no_descriptors():
                result = threads.submit(handle.result, timeout=SECONDS)
                eventually(lambda: app._thread._mute)
            with app.worker(1):
                assert result.result(SECONDS) == TEXT
