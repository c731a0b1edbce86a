"""What is paused is not begun: not what waits, nor what a node or its runners hold; what runs goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.core.task import State
from duly.errors import ActionInvalid, OptionInvalid
from tests.engine import errands
from tests.engine.making import SECONDS
from tests.helpers import eventually


@pytest.fixture
def app(tmp_path: Path) -> Iterator[duly.App]:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", poll=60) as app:
        yield app


def stands(app: duly.App, *handles: duly.Handle[Any]) -> set[tuple[int, int]]:
    """The states and attempts of tasks."""
    return {(row.state, row.attempt) for row in (app.look(handle.id)[0] for handle in handles)}


WAITS = {(State.READY, 0)}


# what a node does


def test_what_runs_goes_on_and_what_runners_hold_is_taken_back_at_once(app: duly.App) -> None:
    mix = app.action("errand:mix")(errands.mix)
    nothing = app.action("errand:nothing")(errands.nothing)
    with app.worker(1):
        for handle in app.submit_many(mix.passport() for _ in range(40)):
            handle.wait(SECONDS)  # its tasks are known to be short: several are handed over together
        runs, *waits = app.submit_many(mix.passport(seconds) for seconds in (0.5, *[0.0] * 20))
        assert any(event.kind == "update" for event in runs.events())
        assert app.pause(action="errand:mix")
        nothing.submit().result(timeout=SECONDS)
        eventually(lambda: stands(app, *waits) == WAITS)
        assert runs.wait(SECONDS).state == "succeeded"
        assert stands(app, *waits) == WAITS, "what had not begun was begun"
        assert app.resume(action="errand:mix")
        assert {handle.wait(SECONDS).state for handle in waits} == {"succeeded"}


def test_other_queues_go_on_and_a_queue_that_comes_later_is_paused_by_its_name(app: duly.App) -> None:
    nothing = app.action("errand:nothing")(errands.nothing)
    app.pause(queue="night")
    with app.worker(1):
        held = nothing.using(queue="night").submit()
        due = nothing.using(queue="night", delay=0.05).submit()
        for _ in range(3):
            nothing.submit().result(timeout=SECONDS)
        eventually(lambda: stands(app, held, due) == WAITS)
        app.resume(queue="night")
        assert {held.wait(SECONDS).ok, due.wait(SECONDS).ok} == {True}


def test_a_worker_that_starts_later_heeds_it_too(app: duly.App) -> None:
    nothing = app.action("errand:nothing")(errands.nothing)
    other = app.action("errand:pid")(errands.pid)
    held = nothing.submit()
    app.pause(action="errand:nothing")
    with app.worker(1):
        other.submit().result(timeout=SECONDS)
        eventually(lambda: stands(app, held) == WAITS)
        assert [event.kind for event in app.look(held.id)[1]] == ["init"]


def test_what_runs_many_at_a_time_is_paused_likewise(app: duly.App) -> None:
    shared = app.action("errand:later", isolation="shared")(errands.later)
    other = app.action("errand:nothing")(errands.nothing)
    with app.worker(1):
        runs = shared.submit(0.2)
        eventually(lambda: runs.refresh().state == "running")
        app.pause(queue="default")
        app.pause(action="errand:later")
        held = shared.submit(0.0)
        assert runs.wait(SECONDS).ok
        app.resume(queue="default")
        other.submit().result(timeout=SECONDS)
        eventually(lambda: stands(app, held) == WAITS)
        assert [event.kind for event in app.look(held.id)[1]] == ["init"], "the action is paused still"
        app.resume(action="errand:later")
        assert held.wait(SECONDS).ok


def test_a_waiting_task_is_cancelled_though_it_is_paused(app: duly.App) -> None:
    nothing = app.action("errand:nothing")(errands.nothing)
    app.pause(queue="default")
    with app.worker(1):
        assert nothing.submit().cancel() == "cancelled"


def test_a_handler_may_pause_its_own_action(app: duly.App) -> None:
    stop = app.action("errand:stop")(errands.pause_own_action)
    with app.worker(1):
        assert stop.submit().result(timeout=SECONDS) == [True, False, "errand:stop"]
        held = stop.submit()
        eventually(lambda: stands(app, held) == WAITS)
        assert [event.kind for event in app.look(held.id)[1]] == ["init"]
    assert [pause.action for pause in app.paused()] == ["errand:stop"]


# what is said


def test_what_is_paused_is_told_with_the_moment_and_whether_it_is_news(app: duly.App) -> None:
    before = datetime.now(UTC)
    assert (app.pause(queue="mail"), app.pause(queue="mail"), app.pause(action="mail:send")) == (True, False, True)
    told = app.paused()
    assert [(one.queue, one.action) for one in told] == [(None, "mail:send"), ("mail", None)]
    assert all(before <= one.since <= datetime.now(UTC) for one in told)
    assert (app.resume(queue="mail"), app.resume(queue="mail")) == (True, False)
    assert [one.action for one in app.paused()] == ["mail:send"]


def test_lists_of_tasks_tell_which_wait_for_the_end_of_a_pause(app: duly.App) -> None:
    app.pause(queue="mail")
    app.pause(action="mail:send")
    both, one = app.submit("mail:send", queue="mail"), app.submit("mail:send", delay="1h")
    free, gone = app.submit("mail:read"), app.submit("mail:send")
    gone.cancel()
    since = {pause.queue: pause.since for pause in app.paused()}
    told = {task.id: task.paused_since for task in app.tasks()}
    assert told == {both.id: since["mail"], one.id: since[None], free.id: None, gone.id: None}


@pytest.mark.parametrize("what", [{}, {"queue": "mail", "action": "mail:send"}])
def test_it_is_one_queue_or_one_action(app: duly.App, what: dict[str, str]) -> None:
    for verb in (app.pause, app.resume):
        with pytest.raises(OptionInvalid, match="queue= or action=, one of them"):
            verb(**what)


@pytest.mark.parametrize("what", [{"queue": "Mail"}, {"queue": 7}, {"action": "mail"}, {"action": errands.nothing}])
def test_a_name_that_nothing_can_have_is_refused(app: duly.App, what: dict[str, Any]) -> None:
    for verb in (app.pause, app.resume):
        with pytest.raises(ActionInvalid):
            verb(**what)


def test_async_twins_do_the_same(app: duly.App) -> None:
    async def all_of_it() -> list[Any]:
        done = [await app.apause(queue="mail"), len(await app.apaused()), await app.aresume(queue="mail")]
        return [*done, await app.apaused()]

    assert asyncio.run(all_of_it()) == [True, 1, True, []]
