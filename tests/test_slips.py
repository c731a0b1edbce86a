"""Slips that a newcomer makes are told where they are made, and not by a task that waits or fails for ever."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
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


# what is of a wrong kind, or could never be meant


def by_hand(app: duly.App, **changes: Any) -> duly.Passport:
    return msgspec.structs.replace(app.passport("mail:send"), **changes)


def keyed(app: duly.App, **options: Any) -> object:
    return app.action("test:double", **options)(double)


@pytest.mark.parametrize(
    ("say", "why"),
    [
        (lambda app: list(app.tasks(first=-1)), "bad first -1"),
        (lambda app: list(app.tasks(first="3")), "bad first '3'"),
        (lambda app: list(app.tasks(state=5)), "bad state 5"),
        (lambda app: list(app.tasks(state=["ready", 5])), "bad state 5"),
        (lambda app: list(app.tasks(since=True)), "bad since True"),
        (lambda app: app.handle(5), "bad task id 5"),
        (lambda app: app.handle("a\0b"), "bad task id 'a.*NUL"),
        (lambda app: app.look("a\0b"), "bad task id 'a.*NUL"),
        (lambda app: app.retry("\ud800"), "bad task id .*UTF-8"),
        (lambda app: app.submit(by_hand(app, id="a\0b")), "bad task id 'a.*NUL"),
        (lambda app: app.submit(by_hand(app, id="a" * 201)), r"bad task id 'a{200}'\.\.\.: .*200 characters at most"),
        (lambda app: app.submit(by_hand(app, origin="a" * 201)), "bad origin .*200 characters at most"),
        (lambda app: app.submit(by_hand(app, origin="a\0b")), "bad origin 'a.*NUL"),
        (lambda app: app.cancel("x", 5), "bad reason 5"),
        (lambda app: app.cancel("x", "a\0b"), "bad reason 'a.*NUL"),
        (lambda app: app.cancel("x", "\ud800"), "bad reason .*UTF-8"),
        (lambda app: app.cancel(state="ready", reason=None), "bad reason None"),
        (lambda app: app.submit_many(5), "passports are wanted"),
        (lambda app: app.passport("mail:send", version="x"), "bad version 'x'"),
        (lambda app: app.passport("mail:send", version=[]), r"bad version \[\]"),
        (lambda app: app.worker(0), "concurrency=0: a whole number from 1; left out, it is the number of CPU cores"),
        (lambda app: app.worker(1.5), "concurrency=1.5: a whole number"),
        (lambda app: app.worker(queues=5), "bad queues 5"),
        (lambda app: keyed(app, memory=5), "memory=5 is too little for anything"),
        (lambda app: keyed(app, memory="512kB"), "memory='512kB' is too little for anything"),
        (lambda _: duly.App(concurrency=0), "concurrency=0"),
        (lambda _: duly.App(recycle_tasks=0), "recycle_tasks=0"),
        (lambda _: duly.App(recycle_tasks=1.5), "recycle_tasks=1.5"),
        (lambda _: duly.Snooze("x"), "bad time to come back at 'x'"),
        (lambda _: duly.Snooze(None), "bad time to come back at None"),
        (lambda _: duly.Snooze(10**12), "this is years"),
        (lambda _: duly.Failure(1, retry="no"), "bad retry 'no'"),
        (lambda _: duly.Backoff(first=True), "first, factor and most are numbers"),
        (lambda _: duly.Backoff(jitter=0.5), "jitter is True or False"),
        (lambda _: duly.perform("math:sqrt", 4, memory=5), "memory=5"),
        (lambda _: duly.perform("math:sqrt", 4, env=["A=b"]), "bad env"),
        (lambda _: duly.perform("math:sqrt", 4, cwd=5), "bad cwd 5"),
    ],
)
def test_what_could_never_be_meant_is_told_where_it_is_said(
    app: duly.App, say: Callable[[duly.App], Any], why: str
) -> None:
    app.action("test:other")(double)
    with pytest.raises(OptionInvalid, match=why):
        say(app)


def test_what_is_just_enough_is_taken(app: duly.App) -> None:
    keyed(app, memory="1MiB")
    assert list(app.tasks(first=0, state=[])) == []
    assert duly.Snooze(0).until == 0
    assert duly.perform("math:sqrt", 4, env={}, cwd=Path("/")) == (True, 2.0)
