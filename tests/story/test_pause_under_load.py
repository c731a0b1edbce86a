"""Operators pause an action while workers are at work on it, and resume it: meanwhile nothing begins, none is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.helpers import eventually
from tests.place import ON_BOTH_IN_SOAK

POLL = timedelta(seconds=1)


@ON_BOTH_IN_SOAK
def test_nothing_of_what_is_paused_begins_and_all_of_it_is_done_once_resumed(place):
    app = place.app
    place.start("-c", "2")
    place.start("-c", "2")
    tasks = app.submit_many(app.passport("shop:work", {"seconds": 0.005, "log": place.log}) for _ in range(600))
    eventually(lambda: len(place.lines()) > 50)
    assert app.pause(action="shop:work")
    paused_at = datetime.now(UTC)
    for _ in range(2):  # other work goes on; it comes due when a poll is over, and then another
        assert app.submit("shop:echo", 1, delay=1.0).result(timeout=30) == 1
        begun = len(place.lines())
        waiting = list(app.tasks(action="shop:work", state="waiting"))
    assert begun + len(waiting) == 600, "what was claimed and not begun is not given back"
    assert {(task.state, task.attempts, task.paused_since is None) for task in waiting} == {("ready", 0, False)}
    resumed_at = datetime.now(UTC)
    assert app.resume(action="shop:work")
    started = [task.wait(60).statistics.started_at for task in tasks]
    assert not [at for at in started if paused_at + POLL < at < resumed_at]
    assert any(at > resumed_at for at in started), "all had been done before"
    lines = [line.split()[0] for line in place.lines()]
    assert sorted(lines) == sorted(task.id for task in tasks), "a task was begun twice, or never"
    assert {task.refresh().state for task in tasks} == {"succeeded"}
