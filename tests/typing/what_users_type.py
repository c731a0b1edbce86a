"""The public names as mypy and pyright see them in a user's code; never run.

Each `type: ignore` marks a mistake that must be found: both checkers report one that finds nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, assert_type

import duly
from duly.testing import FakeClock, assert_submitted, run_until_idle

app = duly.App("sqlite:///:memory:", concurrency=2)


@app.action("plain:def")
def plain(emails: list[str], template: str = "plain") -> int:
    return len(emails) + len(template)


@app.action("context:def", priority="high", timeout=timedelta(minutes=1), memory="64MiB", retry=duly.Backoff(first=2))
def with_context(task: duly.Task, emails: list[str], *, template: str = "plain") -> int:
    for email in task.track(emails):
        assert_type(email, str)
    return task.attempt + len(template)


@app.action("kept:briefly", keep=0, keep_failed=timedelta(days=1))
def kept() -> None: ...


@app.action("kept:always", keep=None, keep_failed="2w")
def kept_for_good() -> None: ...


@app.action("plain:async", timeout=None)
async def plain_async(number: float) -> str:
    return str(number)


@app.action("context:async")
async def async_with_context(task: duly.Task, number: float) -> dict[str, float]:
    return {task.id: number}


@app.action("may:fail")
def may_fail(number: int) -> int | duly.Failure | duly.Snooze:
    return duly.Snooze(timedelta(seconds=1)) if number > 1 else duly.Failure({"why": number}, retry=False)


def the_name_stays_callable_as_the_plain_function(task: duly.Task) -> None:
    assert_type(plain(["a"]), int)
    assert_type(with_context(task, ["a"], template="b"), int)


async def also_as_a_coroutine_function(task: duly.Task) -> None:
    assert_type(await plain_async(1.5), str)
    assert_type(await async_with_context(task, 1), dict[str, float])


def submit_takes_the_payload_and_no_context() -> None:
    assert_type(plain.submit(["a"], template="b"), duly.Handle[int])
    assert_type(with_context.submit(["a"]).result(timeout=1), int)
    assert_type(plain_async.submit(2).result(), str)
    assert_type(async_with_context.submit(2).result(), dict[str, float])
    assert_type(plain.using(priority="low", front=True, delay="5m", max_attempts=1).submit(["a"]), duly.Handle[int])
    assert_type(plain.using(run_at=datetime.now(UTC), queue="mail", timeout=None).passport(["a"]), duly.Passport)


async def async_twins_do_the_same() -> None:
    handle = await plain.asubmit(["a"])
    assert_type(handle, duly.Handle[int])
    assert_type(await handle.aresult(timeout=1), int)
    assert_type(await handle.await_(), duly.TaskResult)
    assert_type(await handle.arefresh(), duly.Handle[int])
    assert_type(handle.aevents(after=3), AsyncIterator[duly.Event])
    assert_type(await duly.aperform("math:sqrt", 16), duly.Performed)


def mistakes_are_found_before_anything_runs(task: duly.Task) -> None:
    plain.submit([1])  # type: ignore[list-item]
    plain.submit()  # type: ignore[call-arg]
    plain.submit(["a"], templat="b")  # type: ignore[call-arg]
    with_context.submit(task, ["a"])  # type: ignore[arg-type, call-arg]
    plain_async.submit("one")  # type: ignore[arg-type]
    plain.using(priority="urgent")  # type: ignore[arg-type]
    app.action("a:b", isolation="thread")  # type: ignore[arg-type]
    duly.perform("math:sqrt", 16, timout=1)  # type: ignore[call-arg]


def handles_tell_what_is_known() -> None:
    handle = plain.submit(["a"])
    assert_type(handle.id, str)
    assert_type(handle.state, str)
    assert_type(handle.events(), Iterator[duly.Event])
    assert_type(handle.on("update", lambda handle: str(handle.last_update)), duly.Handle[int])
    assert_type(handle.retry(), duly.Handle[int])
    result = handle.wait(timeout=1)
    assert_type(result.ok, bool)
    assert_type(result.cause, str | None)
    assert_type(result.error, duly.ErrorData | None)
    assert_type(result.statistics.started_at, datetime | None)
    if handle.cancel("enough", wait=1) == "asked":
        handle.refresh()


def tasks_submitted_by_name_have_any_result() -> None:
    assert_type(app.submit("plain:def", {"emails": ["a"]}, priority="high").result(), Any)
    assert_type(app.submit_many(plain.passport([str(n)]) for n in range(9)), list[duly.Handle[Any]])
    for task in app.tasks(state="failed", first=3):
        assert_type(task, duly.TaskInfo)


def what_operators_do() -> None:
    assert_type(app.pause(queue="mail"), bool)
    assert_type(app.paused()[0].since, datetime)
    assert_type(app.cancel("some-id", "enough", wait=3), Literal["cancelled", "asked", "ended"])
    assert_type(app.cancel(state="ready", queue="mail", since="1d", reason="enough"), duly.CancelCount)
    assert_type(app.cancel(state=["ready", "running"], first=9, dry_run=True).asked, int)
    assert_type(app.retry("some-id"), duly.Handle[Any])
    assert_type(app.retry(action="email:send", due_before="1h"), duly.RetryCount)
    app.cancel(stat="ready")  # type: ignore[call-overload]


def workers_and_perform() -> None:
    with app.worker(2):
        ok, value = duly.perform("math:sqrt", 16, timeout="1s", memory="64MiB")
        assert_type(ok, bool)
        assert_type(value, Any)
    assert_type(duly.current(), duly.Task)


def errors_carry_what_is_known() -> None:
    try:
        plain.submit(["a"]).result()
    except duly.OutOfMemory as error:
        assert_type(error.peak, int | None)
    except duly.TaskDied as error:
        assert_type(error.signal, int | None)
    except duly.TaskError as error:
        assert_type(error.error, duly.ErrorData | None)
        assert_type(error.cause, str)


def help_for_tests_is_typed(duly_app: duly.App) -> None:
    with duly_app.moved("sqlite:///:memory:") as moved:
        assert_type(moved, duly.App)
        assert_type(run_until_idle(moved, seconds=5), list[duly.TaskInfo])
        assert_type(assert_submitted(moved, plain, emails=["a"]), duly.Handle[Any])
        assert_type(FakeClock().now, datetime)
        assert_type(plain.arguments("{}"), dict[str, Any])
