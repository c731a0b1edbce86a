from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import duly
from duly.engine.desk import PAGE
from duly.errors import ActionInvalid, OptionInvalid


@pytest.fixture
def app() -> Iterator[duly.App]:
    with duly.App("sqlite:///:memory:") as app:
        yield app


def ids(app: duly.App, **wanted: Any) -> list[str]:
    return [task.id for task in app.tasks(**wanted)]


@pytest.mark.parametrize("number", [0, 1, PAGE, PAGE + 1, 2 * PAGE])
def test_all_tasks_are_listed_once_the_newest_first_over_all_pages(app: duly.App, number: int) -> None:
    handles = app.submit_many(app.passport("mail:send", n) for n in range(number))
    assert ids(app) == [handle.id for handle in reversed(handles)]


@pytest.mark.parametrize("first", [0, 1, PAGE, PAGE + 5])
def test_no_more_are_listed_than_are_asked_for(app: duly.App, first: int) -> None:
    app.submit_many(app.passport("mail:send", n) for n in range(PAGE + 9))
    assert len(ids(app, first=first)) == first


def test_by_date_those_due_first_come_first_over_all_pages(app: duly.App) -> None:
    handles = app.submit_many(app.passport("mail:send", n, delay=100 - n % 7) for n in range(PAGE + 20))
    dates = [task.run_at for task in app.tasks(by="date", state="scheduled")]
    assert len(dates) == len(handles)
    assert dates == sorted(date for date in dates if date is not None)
    assert len(set(ids(app, by="date"))) == len(handles)


def test_tasks_are_found_by_what_they_are(app: duly.App) -> None:
    plain = app.submit("mail:send")
    later = app.submit("mail:send", delay="1h")
    slow = app.submit("box:pack", queue="slow")
    gone = app.submit("mail:send")
    gone.cancel()
    assert ids(app, state="ready") == [slow.id, plain.id]
    assert ids(app, state=["scheduled", "cancelled"]) == [gone.id, later.id]
    assert ids(app, state="waiting") == [slow.id, later.id, plain.id]
    assert ids(app, state="ended") == [gone.id]
    assert ids(app, state=[]) == []
    assert ids(app, action="box:pack") == [slow.id]
    assert ids(app, queue="slow") == [slow.id]
    assert ids(app, queue="slow", action="mail:send") == []
    assert ids(app, due_before="2h") == [later.id]
    assert ids(app, due_before="30m") == []


@pytest.mark.parametrize("since", ["1h", 3600, timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)])
def test_since_a_length_of_time_is_counted_backwards(app: duly.App, since: Any) -> None:
    handle = app.submit("mail:send")
    assert ids(app, since=since) == [handle.id]
    assert ids(app, since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_what_is_shown_of_a_task(app: duly.App) -> None:
    handle = app.submit("mail:send", priority="high", delay=60, queue="slow")
    app.cancel(handle.id)
    (task,) = app.tasks()
    assert (task.id, task.action, task.version, task.queue) == (handle.id, "mail:send", 1, "slow")
    assert (task.state, task.cause, task.priority, task.attempts) == ("cancelled", "cancel", "high", 0)
    assert task.run_at is not None
    assert task.ended_at is not None
    assert timedelta(seconds=55) < task.run_at - task.submitted_at <= timedelta(seconds=61)
    assert task.submitted_at <= task.ended_at
    assert task.submitted_at.tzinfo is UTC
    assert task.started_at is None


@pytest.mark.parametrize(
    "wrong", [{"state": "done"}, {"state": ["ready", "done"]}, {"by": "name"}, {"since": "yesterday-ish"}]
)
def test_what_cannot_be_asked_for_is_refused_at_once(app: duly.App, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionInvalid):
        ids(app, **wrong)


def test_a_bad_name_of_an_action_is_refused(app: duly.App) -> None:
    with pytest.raises(ActionInvalid):
        ids(app, action="no colon")


def test_from_async_code_the_same_is_listed(app: duly.App) -> None:
    app.submit_many(app.passport("mail:send", n) for n in range(PAGE + 1))

    async def listed() -> list[str]:
        return [task.id async for task in app.atasks(state="ready")]

    assert asyncio.run(listed()) == ids(app)
