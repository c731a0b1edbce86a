"""Workers as context managers: where they may be started, and what they leave behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import duly
from duly.errors import ActionInvalid, HandlerUnavailable, OptionInvalid, StoreError

SECONDS = 30


def double(number: int) -> int:
    return 2 * number


def gone() -> None: ...


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60) as app:
        yield app


def test_a_worker_leaves_no_thread_no_process_and_no_node(app: duly.App) -> None:
    children = psutil.Process().children(recursive=True)
    action = app.action("calc:double")(double)
    with app.worker(2):
        assert len(app.nodes()) == 1
        assert action.submit(21).result(timeout=SECONDS) == 42
    assert not app.nodes()
    assert psutil.Process().children(recursive=True) == children
    assert "duly-node" not in {thread.name for thread in threading.enumerate()}


def test_what_a_worker_stops_for_is_raised_in_who_waits_and_when_it_is_left(tmp_path: Path) -> None:
    app = duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=0.1)
    action = app.action("calc:double")(double)
    damage = f"import apsw; apsw.Connection({str(tmp_path / 'tasks.db')!r}).execute('drop table lanes_version')"

    def wait_for_what_nobody_does() -> None:
        with app, app.worker(1):
            action.submit(21).result(timeout=SECONDS)
            never = app.submit("other:thing")
            subprocess.run([sys.executable, "-c", damage], check=True)
            with pytest.raises(StoreError, match="lane"):
                never.wait(SECONDS)
            with pytest.raises(StoreError, match="lane"):
                asyncio.run(never.await_(SECONDS))

    with pytest.raises(StoreError, match="lane"):
        wait_for_what_nobody_does()


def test_a_worker_works_inside_an_event_loop_without_holding_it_up(app: duly.App) -> None:
    action = app.action("calc:double")(double)

    async def use() -> list[int]:
        async with app.worker(1):
            handles = [await action.asubmit(n) for n in range(5)]
            return list(await asyncio.gather(*(handle.aresult(timeout=SECONDS) for handle in handles)))

    assert asyncio.run(use()) == [0, 2, 4, 6, 8]
    assert not app.nodes()


def test_an_app_without_actions_has_nothing_to_work_on(app: duly.App) -> None:
    with pytest.raises(ActionInvalid, match="no actions"):
        app.worker()


@pytest.mark.parametrize("concurrency", [-1, 1001, True, "many"])
def test_a_number_of_runners_that_cannot_be_is_refused(app: duly.App, concurrency: Any) -> None:
    app.action("calc:double")(double)
    with pytest.raises(OptionInvalid, match="concurrency"):
        app.worker(concurrency)


def test_a_handler_that_is_not_there_is_said_at_the_start_and_nothing_is_left(
    app: duly.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    children = psutil.Process().children(recursive=True)
    app.action("calc:gone")(gone)
    monkeypatch.setattr(gone, "__qualname__", "renamed")
    with pytest.raises(HandlerUnavailable, match="calc:gone"), app.worker(1):
        pass
    assert not any(lives for _, lives in app.nodes())
    assert psutil.Process().children(recursive=True) == children


def test_an_error_inside_the_block_passes_through_and_the_worker_ends(app: duly.App) -> None:
    app.action("calc:double")(double)
    with pytest.raises(ZeroDivisionError), app.worker(1):
        _ = 1 // 0
    assert not app.nodes()


def test_queues_that_are_not_served_wait(app: duly.App) -> None:
    slow = app.action("calc:double", queue="slow")(double)
    with app.worker(1, queues=["slow"]):
        other = slow.using(queue="other").submit(1)
        assert slow.submit(2).result(timeout=SECONDS) == 4
        assert other.refresh().state == "ready"


@pytest.mark.parametrize("call", ["app.run_worker(1)", "app.worker(1).__enter__()"])
def test_a_worker_that_the_import_of_a_module_would_start_is_refused(tmp_path: Path, call: str) -> None:
    (tmp_path / "shop.py").write_text(
        "import duly\n"
        "app = duly.App('sqlite:///tasks.db')\n"
        "@app.action('calc:double')\n"
        "def double(n: int) -> int: return 2 * n\n"
        f"{call}\n"
    )
    code = "import duly\ntry: import shop\nexcept duly.WorkerMisplaced as error: print('refused:', error)"
    said = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True, cwd=tmp_path
    )
    assert said.stdout.startswith("refused: app.")
    assert not (tmp_path / "tasks.db").exists()
