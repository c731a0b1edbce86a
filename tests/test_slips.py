"""Slips that a newcomer makes are told where they are made, and not by a task that waits or fails for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.errors import ActionInvalid, OptionInvalid

SECONDS = 10


def double(number: int) -> int:
    return 2 * number


class Shop:
    """A class whose functions somebody takes for handlers."""

    def open(self, day: int) -> int:
        return day

    @staticmethod
    def close(day: int) -> int:
        return day


def yielding(number: int) -> Iterator[int]:
    yield number


async def yielding_later(number: int) -> AsyncIterator[int]:
    yield number


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60) as app:
        yield app


def test_a_method_is_no_handler_but_a_static_one_can_be(app: duly.App) -> None:
    with pytest.raises(ActionInvalid, match=r"shop:open: Shop\.open is a method"):
        app.action("shop:open")(Shop.open)
    assert app.action("shop:close")(Shop.close)(7) == 7


@pytest.mark.parametrize("function", [yielding, yielding_later])
def test_a_generator_is_no_handler(app: duly.App, function: Callable[..., Any]) -> None:
    with pytest.raises(ActionInvalid, match=rf"list:make: {function.__name__} is a generator"):
        app.action("list:make")(function)


@pytest.mark.parametrize("queues", ["default", ["no such name"], []], ids=str)
def test_queues_that_no_task_can_be_in_are_refused(app: duly.App, queues: Any) -> None:
    app.action("calc:double")(double)
    with pytest.raises((OptionInvalid, ActionInvalid), match="queue"):
        app.worker(1, queues=queues)


def test_front_is_yes_or_no(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match="bad front 'no'"):
        app.action("calc:double")(double).using(front="no")  # type: ignore[arg-type]


def test_a_memory_limit_leaves_some(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match="memory=0 leaves no memory"):
        app.action("calc:double", memory=0)(double)


def test_many_are_submitted_as_passports(app: duly.App) -> None:
    given: Any = [("calc:double", 1)]
    with pytest.raises(OptionInvalid, match="passports are wanted"):
        app.submit_many(given)
    assert list(app.tasks()) == []


def test_a_worker_is_entered_once(app: duly.App) -> None:
    app.action("calc:double")(double)
    worker = app.worker(1)
    with worker:
        pass
    with pytest.raises(RuntimeError, match="used once"), worker:
        pass


def test_a_fork_that_leaves_the_block_leaves_the_worker_to_its_parent(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(
        "import os, signal, sys\n"
        "import duly\n"
        "app = duly.App('sqlite:///tasks.db')\n"
        "@app.action('calc:double')\n"
        "def double(number: int) -> int: return 2 * number\n"
        "if __name__ == '__main__':\n"
        "    with app.worker(1):\n"
        "        child = os.fork()\n"
        "        if child == 0:\n"
        f"            signal.alarm({SECONDS})\n"
        "            sys.exit(0)\n"
        "        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), double.submit(21).result(timeout=20))\n"
    )
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "shop.py"],
        stdout=subprocess.PIPE,
        text=True,
        timeout=2 * SECONDS,
        check=True,
        cwd=tmp_path,
    )
    assert said.stdout == "0 42\n"
