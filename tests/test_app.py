"""Apps: several in one process, in threads, after a fork and after their end."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.engine import desk
from duly.errors import (
    ActionInvalid,
    NotAvailable,
    OptionInvalid,
    StoreUnavailable,
    TaskNotFound,
)

SECONDS = 30


def double(number: int) -> int:
    return 2 * number


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        yield app


# where


@pytest.mark.parametrize("url", ["", "sqlite:///", "sqlite://x", "mysql://x", "tasks.db"])
def test_a_url_that_names_no_store_is_refused(url: str) -> None:
    with pytest.raises(OptionInvalid, match="url"):
        duly.App(url)


def test_a_file_is_meant_as_seen_from_where_the_app_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = duly.App("sqlite:///tasks.db")
    monkeypatch.chdir("/")
    with app:
        app.submit("mail:send")
    assert (tmp_path / "tasks.db").exists()


def test_nothing_is_opened_before_it_is_needed(app: duly.App, tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    app.action("calc:double")(double).passport(1)
    app.handle("x")
    assert not list(tmp_path.iterdir())
    assert os.listdir("/proc/self/fd") == before


def test_no_app_leaves_a_descriptor_behind(tmp_path: Path) -> None:
    def used() -> int:
        with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
            app.submit("mail:send")
        return len(os.listdir("/proc/self/fd"))

    assert used() == used()


# submitting


def test_a_passport_is_one_task_however_often_it_is_submitted(app: duly.App) -> None:
    passport = app.passport("mail:send", {"to": "ann"})
    handles = [app.submit(passport), app.submit(passport), *app.submit_many([passport, passport])]
    assert {handle.id for handle in handles} == {passport.id}
    assert len(list(app.tasks())) == 1


def test_a_passport_has_its_options_already(app: duly.App) -> None:
    passport = app.passport("mail:send")
    for more in ({"payload": 5}, {"priority": "high"}):
        with pytest.raises(OptionInvalid):
            app.submit(passport, **more)


def test_many_are_stored_in_commits_of_no_more_than_so_many(app: duly.App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.submit_many([]) == []
    monkeypatch.setattr(desk, "MOST_SUBMITS", 3)
    monkeypatch.setattr("duly.app.MOST_SUBMITS", 3)
    handles = app.submit_many(app.passport("mail:send", n) for n in range(7))
    assert [task.id for task in app.tasks()] == [handle.id for handle in reversed(handles)]


@pytest.mark.parametrize("before", [0, 2, 3, 7])
def test_what_the_iterable_yields_before_it_fails_is_stored(
    app: duly.App, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    monkeypatch.setattr(desk, "MOST_SUBMITS", 3)
    monkeypatch.setattr("duly.app.MOST_SUBMITS", 3)

    def passports() -> Iterator[Any]:
        for number in range(before):
            yield app.passport("mail:send", number)
        raise LookupError("no more letters")

    with pytest.raises(LookupError, match="no more letters"):
        app.submit_many(passports())
    assert len(list(app.tasks())) == before
    with pytest.raises(LookupError):
        asyncio.run(app.asubmit_many(passports()))
    assert len(list(app.tasks())) == 2 * before


def test_a_passport_among_many_twice_is_one_task_with_two_handles(
    app: duly.App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MOST_SUBMITS", 3)
    monkeypatch.setattr("duly.app.MOST_SUBMITS", 3)
    one, *others = (app.passport("mail:send", number) for number in range(5))
    handles = app.submit_many([one, one, *others, one])
    assert [handle.id for handle in handles] == [passport.id for passport in (one, one, *others, one)]
    assert {handle.state for handle in handles} == {"ready"}
    assert len(list(app.tasks())) == 5


def test_a_name_alone_means_the_newest_version_declared(app: duly.App) -> None:
    app.action("calc:double", queue="old")(double)
    app.action("calc:double", version=3, queue="new", priority="low")(double)
    passport = app.passport("calc:double", 1)
    assert (passport.version, passport.options.queue, passport.options.priority) == (3, "new", "low")
    assert app.passport("calc:double", 1, version=1).options.queue == "old"
    assert app.passport("calc:double", 1, version=2).options.queue == "default", "of that nothing is known here"


def test_an_action_that_is_not_declared_here_can_be_submitted_if_its_name_can_be_one(app: duly.App) -> None:
    assert app.submit("other:thing", [1, None]).state == "ready"
    with pytest.raises(ActionInvalid):
        app.submit("no colon")


def test_from_async_code_all_is_as_it_is_from_sync(app: duly.App) -> None:
    async def use() -> list[Any]:
        action = app.action("calc:double")(double)
        one = await action.asubmit(1)
        two = await app.asubmit("mail:send", delay=60)
        many = await app.asubmit_many([app.passport("mail:send", n) for n in range(2)])
        return [one.state, two.state, len(many), await app.acancel(one.id, "enough")]

    assert asyncio.run(use()) == ["ready", "scheduled", 2, "cancelled"]
    assert len(list(app.tasks())) == 4


def test_a_cancel_and_a_retry_of_one_task_are_those_of_its_handle(app: duly.App) -> None:
    dated = app.submit("mail:send", delay=3600)
    assert (app.retry(dated.id).id, dated.refresh().state) == (dated.id, "ready")
    assert app.cancel(dated.id) == "cancelled"
    for verb in (app.cancel, app.retry):
        with pytest.raises(TaskNotFound):
            verb("unknown")


@pytest.mark.parametrize("name", ["every", "due", "upgrade", "replay", "flow"])
def test_what_is_to_come_says_so_and_what_never_was_does_not(app: duly.App, name: str) -> None:
    with pytest.raises(NotAvailable, match=rf"app\.{name} is not in this release yet"):
        getattr(app, name)
    with pytest.raises(AttributeError, match="unheard_of"):
        _ = app.unheard_of  # type: ignore[attr-defined]


# threads, processes, ends


def test_threads_share_an_app(app: duly.App) -> None:
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for n in range(25):
                handle = app.submit("mail:send", n)
                assert handle.refresh().state == "ready"
                assert handle.cancel() == "cancelled"
                assert handle.wait(SECONDS).state == "cancelled"
        except BaseException as error:  # noqa: BLE001 - it is asserted on below
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert not problems
    assert len(list(app.tasks(state="cancelled"))) == 100


def test_several_apps_of_one_process_share_a_file(app: duly.App, tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60) as other:
        action = other.action("calc:double")(double)
        handle = app.submit("calc:double", 21)
        seen = other.handle(handle.id)
        with other.worker(1):
            assert handle.result(timeout=SECONDS) == 42
            assert seen.result(timeout=SECONDS) == 42
            later = app.submit("calc:double", 5)
            assert later.result(timeout=SECONDS) == 10, "the worker of the other App was rung"
            assert action.submit(1).result(timeout=SECONDS) == 2


def test_two_workers_of_one_app_share_its_tasks(app: duly.App) -> None:
    action = app.action("calc:double")(double)
    with app.worker(1), app.worker(1):
        assert len(app.nodes()) == 2
        handles = app.submit_many(action.passport(n) for n in range(40))
        assert [handle.result(timeout=SECONDS) for handle in handles] == [2 * n for n in range(40)]
    assert not app.nodes()


def test_each_app_in_memory_has_a_store_of_its_own() -> None:
    with duly.App("sqlite:///:memory:") as one, duly.App("sqlite:///:memory:") as other:
        handle = one.submit("mail:send")
        with pytest.raises(TaskNotFound):
            other.handle(handle.id).refresh()


FORKING = """
import os, signal, sys
import duly

app = duly.App("sqlite:///" + sys.argv[1])
before = app.submit("mail:send", "before")
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    assert before.refresh().state == "ready", "a handle goes on to work"
    mine = app.submit("mail:send", "child")
    assert app.look(mine.id)[0].origin.endswith(f":{os.getpid()}")
    assert before.cancel() == "cancelled"
    app.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
assert before.wait(20).state == "cancelled"
print([task.state for task in app.tasks()])
app.close()
"""


def test_an_app_and_its_handles_go_on_in_a_forked_process(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING, f"{tmp_path}/tasks.db"],
        stdout=subprocess.PIPE, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "['ready', 'cancelled']\n")


USES: list[Callable[[duly.App], Any]] = [
    lambda app: app.submit("mail:send"),
    lambda app: app.submit_many([app.passport("mail:send")]),
    lambda app: list(app.tasks()),
    lambda app: app.handle("x").refresh(),
    lambda app: app.cancel("x"),
    lambda app: app.examine(),
    lambda app: app.worker().__enter__(),
]


@pytest.mark.parametrize("use", USES)
def test_a_closed_app_is_used_no_more_and_can_be_closed_again(app: duly.App, use: Callable[[duly.App], Any]) -> None:
    app.action("calc:double")(double)
    app.submit("mail:send")
    app.close()
    app.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        use(app)


def test_an_app_that_was_never_used_can_be_closed(app: duly.App, tmp_path: Path) -> None:
    app.close()
    assert not list(tmp_path.iterdir())
    with pytest.raises(StoreUnavailable):
        app.submit("mail:send")
