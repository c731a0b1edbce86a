"""Handles: looking, waiting, results, histories and cancels, sync and async; run by a worker where one is needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.errors import (
    NotAvailable,
    OptionInvalid,
    RetryRefused,
    StoreUnavailable,
    TaskCancelled,
    TaskFailed,
    TaskNotFound,
    WaitTimeout,
)
from duly.handle import Handle
from tests.helpers import eventually

SECONDS = 30


def double(number: int) -> int:
    return 2 * number


def fail(text: str) -> None:
    raise ValueError(text)


def need(path: str) -> int:
    return len(Path(path).read_bytes())


def tell(task: duly.Task, gate: str) -> str:
    task.add_info("pages", 3)
    task.update("begun")
    pause = threading.Event()
    while not Path(gate).exists():
        pause.wait(0.005)
        task.check()
    return "done"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duly.App]:
    """An App whose worker serves all tests of this file."""
    app = duly.App(f"sqlite:///{tmp_path_factory.mktemp('handles')}/tasks.db", poll=60)
    app.action("calc:double")(double)
    app.action("calc:count")(count)
    app.action("calc:fail", max_attempts=1)(fail)
    app.action("calc:need", max_attempts=1)(need)
    app.action("calc:tell", max_attempts=1, grace=0.5)(tell)
    with app, app.worker(1):
        yield app


async def listed(items: AsyncIterator[Any]) -> list[Any]:
    return [item async for item in items]


def run(awaitable: Awaitable[Any]) -> Any:
    async def awaited() -> Any:
        return await awaitable

    return asyncio.run(awaited())


WAYS: list[dict[str, Callable[..., Any]]] = [
    {
        "refresh": Handle.refresh,
        "wait": Handle.wait,
        "result": Handle.result,
        "cancel": Handle.cancel,
        "retry": Handle.retry,
        "events": lambda handle, *more: list(handle.events(*more)),
    },
    {
        "refresh": lambda handle: run(handle.arefresh()),
        "wait": lambda handle, *more: run(handle.await_(*more)),
        "result": lambda handle, **more: run(handle.aresult(**more)),
        "cancel": lambda handle, *more, **others: run(handle.acancel(*more, **others)),
        "retry": lambda handle: run(handle.aretry()),
        "events": lambda handle, *more: run(listed(handle.aevents(*more))),
    },
]
both = pytest.mark.parametrize("way", WAYS, ids=["sync", "async"])
Way = dict[str, Callable[..., Any]]


@both
def test_a_value_is_returned_and_a_failure_raised(app: duly.App, way: Way) -> None:
    assert way["result"](app.submit("calc:double", 21), timeout=SECONDS) == 42
    with pytest.raises(TaskFailed, match="no way"):
        way["result"](app.submit("calc:fail", "no way"), timeout=SECONDS)


@both
def test_a_default_stands_for_whatever_kept_the_value_away(app: duly.App, way: Way) -> None:
    assert way["result"](app.submit("calc:fail", "x"), timeout=SECONDS, default=None) is None
    assert way["result"](app.handle("unknown"), default="none") == "none"
    assert way["result"](app.submit("other:thing"), timeout=0, default=0) == 0
    assert way["result"](app.submit("calc:double", 2), timeout=SECONDS, default=None) == 4


@both
def test_a_default_stands_also_for_a_store_that_is_closed(way: Way) -> None:
    with duly.App("sqlite:///:memory:") as closed:
        handle = closed.submit("other:thing")
    assert way["result"](handle, default="none") == "none"
    with pytest.raises(StoreUnavailable):
        way["result"](handle)


@both
def test_a_wait_tells_what_became_of_it_and_raises_nothing_for_it(app: duly.App, way: Way) -> None:
    good, bad = app.submit("calc:double", 21), app.submit("calc:fail", "no way")
    result = way["wait"](good, SECONDS)
    assert (result.ok, result.state, result.cause, result.value, result.error) == (True, "succeeded", None, 42, None)
    assert good.state == "succeeded"
    result = way["wait"](bad, SECONDS)
    assert (result.ok, result.state, result.cause, result.value) == (False, "failed", "error", None)
    assert result.error is not None
    assert (result.error.type, result.error.message) == ("ValueError", "no way")


@both
def test_statistics_tell_when_and_what_it_added(app: duly.App, way: Way, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    statistics = way["wait"](app.submit("calc:tell", f"{tmp_path}/gate"), SECONDS).statistics
    assert statistics.submitted_at <= statistics.started_at <= statistics.ended_at
    assert (statistics.attempts, statistics.info) == (1, {"pages": 3})


@both
def test_a_wait_ends_after_its_time_and_the_task_goes_on(app: duly.App, way: Way) -> None:
    handle = app.submit("other:thing")
    for wait in (lambda: way["wait"](handle, 0.01), lambda: way["result"](handle, timeout=0.01)):
        with pytest.raises(WaitTimeout):
            wait()
    assert way["refresh"](handle).state == "ready"


@both
def test_what_has_ended_is_told_to_whoever_cannot_wait_though_the_store_is_busy(app: duly.App, way: Way) -> None:
    handle = app.submit("other:thing")
    handle.cancel()
    for _ in range(3):
        busy, free = threading.Event(), threading.Event()
        app._thread.post(lambda _, busy=busy, free=free: (busy.set(), free.wait(5)), lambda *_: None)
        busy.wait(5)
        threading.Timer(0.02, free.set).start()
        assert way["wait"](handle, 0).state == "cancelled"


@both
def test_what_nobody_knows_is_not_found(app: duly.App, way: Way) -> None:
    for use in way.values():
        with pytest.raises(TaskNotFound):
            use(app.handle("unknown"))


@both
def test_a_refresh_sees_state_action_and_last_update(app: duly.App, way: Way, tmp_path: Path) -> None:
    handle = app.handle(app.submit("calc:tell", f"{tmp_path}/gate").id)
    assert (handle.action, handle.state) == ("", "")
    eventually(lambda: way["refresh"](handle).last_update)
    assert (handle.action, handle.state, handle.last_update) == ("calc:tell", "running", "begun")
    (tmp_path / "gate").touch()
    assert way["result"](handle, timeout=SECONDS) == "done"


@both
def test_the_history_has_no_gaps_and_ends_with_the_task(app: duly.App, way: Way) -> None:
    handle = app.submit("calc:double", 1)
    events = way["events"](handle)
    assert [event.kind for event in events] == ["init", "start", "success"]
    assert [event.number for event in events] == [1, 2, 3]
    assert [event.kind for event in way["events"](handle, 1)] == ["start", "success"]
    assert way["events"](handle, 3) == []


@both
def test_events_are_told_as_they_happen_without_looking_all_the_time(app: duly.App, way: Way, tmp_path: Path) -> None:
    handle = app.submit("calc:tell", f"{tmp_path}/gate")
    told: list[Any] = []
    watcher = threading.Thread(target=lambda: told.extend(way["events"](handle)))
    eventually(lambda: handle.refresh().last_update)
    before = time.process_time()
    watcher.start()
    watcher.join(0.4)
    spent = time.process_time() - before
    (tmp_path / "gate").touch()
    watcher.join(SECONDS)
    assert [event.kind for event in told] == ["init", "start", "info", "update", "success"]
    assert spent < 0.25, "it slept between the events"


@both
def test_a_cancel_is_answered_by_what_it_found(app: duly.App, way: Way, tmp_path: Path) -> None:
    waiting, running = app.submit("other:thing"), app.submit("calc:tell", f"{tmp_path}/gate")
    assert way["cancel"](waiting, "enough") == "cancelled"
    assert way["cancel"](waiting) == "ended"
    eventually(lambda: running.refresh().last_update)
    assert way["cancel"](running, "enough", wait=SECONDS) == "asked"
    assert running.refresh().state == "cancelled"
    with pytest.raises(TaskCancelled, match="enough"):
        way["result"](running)


@both
def test_a_failed_task_is_retried_and_what_it_comes_to_is_told(app: duly.App, way: Way, tmp_path: Path) -> None:
    handle = app.submit("calc:need", f"{tmp_path}/needed")
    assert way["wait"](handle, SECONDS).state == "failed"
    (tmp_path / "needed").touch()
    assert way["retry"](handle).state == "ready"
    result = way["wait"](handle, SECONDS)
    assert (result.state, result.cause, result.error, result.statistics.attempts) == ("succeeded", None, None, 1)
    assert [event.kind for event in way["events"](handle)] == ["init", "start", "fail", "release", "start", "success"]
    with pytest.raises(RetryRefused, match="has succeeded") as caught:
        way["retry"](handle)
    assert (caught.value.state, caught.value.code) == ("succeeded", "retry_refused")


def test_who_may_wait_anyway_may_say_so(app: duly.App) -> None:
    handle = app.submit("calc:double", 21)
    assert handle.result(timeout=SECONDS, allow_wait=True) == 42
    assert handle.wait(allow_wait=True).ok
    assert list(handle.events(allow_wait=True))


# reacting


def count(task: duly.Task, to: int) -> int:
    """Tell each number, none so soon after the one before that it would not be sent."""
    pause = threading.Event()
    for number in range(1, to + 1):
        task.update(number, message=f"at {number}")
        pause.wait(0.11)
    return to


@both
def test_whoever_waits_reacts_to_each_event_of_a_kind_in_order(app: duly.App, way: Way) -> None:
    seen: list[Any] = []
    threads: set[threading.Thread] = set()
    handle = app.submit("calc:count", 3)
    handle.on("start", lambda handle: seen.append(handle.id)).on(
        "update", lambda handle: (seen.append(handle.last_update), threads.add(threading.current_thread()))
    ).on("success", lambda handle: seen.append(handle.state))
    assert way["result"](handle, timeout=SECONDS) == 3
    assert seen == [handle.id, 1, 2, 3, "succeeded"]
    assert threads == {threading.current_thread()}
    assert way["result"](handle, timeout=SECONDS) == 3
    assert len(seen) == 5, "each event once"
    told = [event.data for event in way["events"](handle) if event.kind == "update"]
    assert told == [{"data": number, "message": f"at {number}"} for number in (1, 2, 3)]


@both
def test_what_happened_before_anybody_waited_is_reacted_to_as_well(app: duly.App, way: Way) -> None:
    first = app.submit("calc:double", 1)
    first.wait(SECONDS)
    seen: list[str] = []
    handle = app.handle(first.id)
    for kind in ("init", "success", "fail"):
        handle.on(kind, lambda handle, kind=kind: seen.append(kind))
    assert way["wait"](handle, SECONDS).ok
    assert seen == ["init", "success"]


@both
def test_who_reads_events_reacts_to_them_too(app: duly.App, way: Way) -> None:
    seen: list[str] = []
    handle = app.submit("calc:double", 1).on("success", lambda handle: seen.append(handle.state))
    assert len(way["events"](handle)) == 3
    assert seen == ["succeeded"]
    assert len(way["events"](handle)) == 3
    assert len(seen) == 1


@both
@pytest.mark.parametrize("error", [ZeroDivisionError, TaskNotFound])
def test_what_a_reaction_raises_is_raised_where_it_was_waited(app: duly.App, way: Way, error: type[Exception]) -> None:
    def react(_: object) -> None:
        raise error("mine")

    handle = app.submit("calc:double", 1).on("success", react)
    with pytest.raises(error, match="mine"):
        way["result"](handle, timeout=SECONDS, default=None)
    assert way["result"](handle, timeout=SECONDS) == 2, "it has been told, and the task is as it was"


@both
def test_a_reaction_may_have_the_task_tried_again(app: duly.App, way: Way, tmp_path: Path) -> None:
    def mend(handle: duly.Handle[Any]) -> None:
        (tmp_path / "needed").touch()
        handle.retry()

    handle = app.submit("calc:need", f"{tmp_path}/needed").on("fail", mend)
    assert way["result"](handle, timeout=SECONDS) == 0


@both
def test_a_wait_with_reactions_ends_after_its_time_too(app: duly.App, way: Way) -> None:
    seen: list[str] = []
    handle = app.submit("other:thing").on("init", lambda handle: seen.append(handle.state))
    with pytest.raises(WaitTimeout):
        way["result"](handle, timeout=0.05)
    assert seen == ["ready"]
    with pytest.raises(TaskNotFound):
        way["wait"](app.handle("unknown").on("init", print), 0.05)


def test_an_async_reaction_is_awaited_by_those_who_await(app: duly.App) -> None:
    seen: list[Any] = []

    async def react(handle: duly.Handle[Any]) -> None:
        await asyncio.sleep(0)
        seen.append(handle.last_update)

    assert run(app.submit("calc:count", 2).on("update", react).aresult(timeout=SECONDS)) == 2
    assert run(listed(app.submit("calc:count", 1).on("update", react).aevents()))
    assert seen == [1, 2, 1]
    with pytest.raises(OptionInvalid, match=r"async.*aresult"):
        app.submit("calc:double", 1).on("success", react).result(timeout=SECONDS)


def test_a_kind_that_no_event_has_is_refused_and_the_others_are_named(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match=r"'updated'.*start, .*update, .*success"):
        app.handle("x").on("updated", print)


@pytest.mark.parametrize("name", ["replay", "existing"])
def test_what_is_to_come_says_so_and_what_never_was_does_not(app: duly.App, name: str) -> None:
    handle: Any = app.handle("x")
    with pytest.raises(NotAvailable, match=rf"handle\.{name} is not in this release yet"):
        getattr(handle, name)
    with pytest.raises(AttributeError, match="unheard_of"):
        _ = handle.unheard_of
    assert not hasattr(handle, "unheard_of")


def test_a_handle_shows_what_it_is(app: duly.App) -> None:
    handle = app.submit("calc:double", 1)
    assert repr(handle) == f"<duly.Handle calc:double {handle.id} ready>"


@both
def test_waits_are_bounded_in_the_units_people_write(app: duly.App, way: Way) -> None:
    handle = app.submit("other:thing")
    with pytest.raises(WaitTimeout):
        way["wait"](handle, "10ms")
    for wrong in ("soon", -1, float("nan"), [1]):
        with pytest.raises(OptionInvalid, match="bad timeout"):
            way["wait"](handle, wrong)


def test_only_what_can_be_called_reacts(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match="bad reaction 3"):
        app.submit("other:thing").on("update", 3)  # type: ignore[arg-type]
