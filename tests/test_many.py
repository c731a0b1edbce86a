"""Many tasks are cancelled or retried by what they are: in steps, each once, and nothing else is touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.engine.asking import Watch, ask
from duly.engine.desk import MOST_CHANGED, Desk
from duly.errors import ActionInvalid, OptionInvalid, WaitTimeout
from duly.many import Cancels, Retries
from duly.ports import UNKNOWN, Filter, Glance, Reply, Request, Retried, TaskRow
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
from tests.helpers import eventually

MANY = 2 * MOST_CHANGED + 500


@pytest.fixture
def app() -> Iterator[duly.App]:
    with duly.App("sqlite:///:memory:") as app:
        yield app


def states(*handles: duly.Handle[Any]) -> list[str]:
    return [handle.refresh().state for handle in handles]


def refuse(why: str) -> None:
    raise ValueError(why)


def stay(task: duly.Task) -> None:
    while not task.cancel_requested:
        task.update("waits")


def linger(task: duly.Task) -> None:
    with suppress(duly.TaskStopped):
        task.update("lingers")
        time.sleep(60)  # noqa: TID251 - it is work
    time.sleep(0.5)  # noqa: TID251 - it is work


def failed(app: duly.App, number: int) -> list[duly.Handle[Any]]:
    """Tasks that have failed."""
    refused = app.action("test:refuse", max_attempts=1)(refuse)
    handles = [refused.submit("no") for _ in range(number)]
    with app.worker(1):
        for handle in handles:
            handle.wait(30)
    return handles


# cancelling


def test_all_that_fit_are_cancelled_and_no_others(app: duly.App) -> None:
    mail, dated = app.submit("mail:send"), app.submit("mail:send", delay="1h")
    slow, other = app.submit("mail:send", queue="slow"), app.submit("box:pack")
    assert app.cancel(action="mail:send", queue="default", reason="sent by hand") == (2, 0)
    assert states(mail, dated, slow, other) == ["cancelled", "cancelled", "ready", "ready"]
    assert app.look(mail.id)[0].reason == "sent by hand"
    assert app.cancel(state="waiting", since="1h") == (2, 0)
    assert states(slow, other) == ["cancelled", "cancelled"]
    assert app.cancel(queue="slow") == (0, 0), "they have ended"


def test_what_runs_is_asked_if_it_is_meant_and_waited_for(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        staying = app.action("test:stay")(stay)
        with app.worker(1):
            runs = staying.submit()
            eventually(lambda: runs.refresh().state == "running")
            waits = app.submit("mail:send")
            assert app.cancel(state="ready", since="1h") == (1, 0)
            assert states(runs, waits) == ["running", "cancelled"]
            assert app.cancel(action="test:stay", wait=30) == (0, 1)
            assert states(runs) == ["cancelled"]


def test_a_wait_for_those_that_run_may_be_too_short(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        staying = app.action("test:stay", grace=30)(linger)
        with app.worker(1):
            runs = staying.submit()
            eventually(lambda: "update" in [event.kind for event in app.look(runs.id)[1]])
            with pytest.raises(WaitTimeout):
                app.cancel(action="test:stay", wait=0)
            assert runs.wait(30).state == "cancelled"


def test_only_the_newest_so_many_if_that_is_said(app: duly.App) -> None:
    handles = [app.submit("mail:send") for _ in range(4)]
    assert app.cancel(action="mail:send", first=0) == (0, 0)
    assert app.cancel(action="mail:send", first=3) == (3, 0)
    assert states(*handles) == ["ready", "cancelled", "cancelled", "cancelled"]


# retrying


def test_all_that_failed_is_retried_and_nothing_that_waits_for_its_date(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        gone, dated = failed(app, 3), app.submit("mail:send", delay="1h")
        assert app.retry(since="1h", dry_run=True) == (3, 0)
        assert states(gone[0]) == ["failed"]
        assert app.retry(since="1h", first=2) == (2, 0)
        assert states(*gone, dated) == ["failed", "ready", "ready", "scheduled"]
        assert app.retry(state="scheduled", action="mail:send") == (1, 0)
        assert states(dated) == ["ready"]
        assert app.retry(action="test:refuse") == (1, 0)
        assert app.retry(action="test:refuse") == (0, 0)


# in steps


def steps_of(store: SqliteStore, verb: Any, most: int = 99) -> tuple[list[Request], Any]:
    """Carry out a verb on a store; return its requests, and what it came to, unless it is left after so many."""
    requests, answer = [], None
    try:
        while len(requests) < most:
            asked = verb.send(answer)
            if isinstance(asked, Request):
                requests.append(asked)
            answer = store.exchange(asked) if isinstance(asked, Request) else asked(store)
    except StopIteration as end:
        return requests, end.value
    return requests, None


@pytest.fixture
def full(tmp_path: Path) -> Iterator[SqliteStore]:
    """A store with many tasks that wait for a date."""
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        app.submit_many(app.passport("mail:send", delay="1h") for _ in range(MANY))
    store = SqliteStore(f"{tmp_path}/tasks.db")
    store.open()
    yield store
    store.close()


@pytest.mark.parametrize(
    ("verb", "of"),
    [
        (lambda: Cancels({"state": "waiting"}).carry_out(Desk(), "enough", None), "cancels"),
        (lambda: Retries({"state": "scheduled"}).carry_out(Desk()), "retries"),
    ],
)
def test_they_go_in_steps_and_one_that_is_broken_off_is_said_again(
    full: SqliteStore, verb: Callable[[], Any], of: str
) -> None:
    requests, end = steps_of(full, verb(), most=1)
    assert ([len(getattr(request, of)) for request in requests], end) == ([MOST_CHANGED], None)
    requests, end = steps_of(full, verb())
    assert [len(getattr(request, of)) for request in requests] == [MOST_CHANGED, 500]
    assert end == (MANY - MOST_CHANGED, 0)
    ((runs, tasks),) = full._connection.execute("select count(*), count(distinct task) from event").fetchall()  # type: ignore[union-attr]
    assert (runs, tasks) == (MANY, MANY), "a task was changed twice"


def test_a_dry_run_writes_nothing(full: SqliteStore) -> None:
    assert steps_of(full, Cancels({"state": "waiting"}).count(Desk())) == ([], (MANY, 0))
    assert steps_of(full, Retries({"state": "scheduled", "first": MOST_CHANGED + 1}).count(Desk())) == (
        [],
        (MOST_CHANGED + 1, 0),
    )


def test_what_begins_meanwhile_is_left_alone_by_who_means_what_waits(full: SqliteStore) -> None:
    hands = Hands(full)
    task_id = hands.submit()
    verb = Cancels({"state": "ready"}).carry_out(Desk(), "enough", None)
    page = next(verb)(full)
    assert [row.id for row in page] == [task_id]
    hands.claim_one()
    reply = full.exchange(verb.send(page))
    assert (reply.cancelled, hands.row(task_id).verdict) == ({}, None)


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize(
    ("verb", "end"),
    [
        (lambda task_id: Desk().cancel(task_id, "enough", 30), "asked"),
        (lambda _: Cancels({"state": "running"}).carry_out(Desk(), "enough", 30), (0, 1)),
    ],
)
def test_what_was_removed_by_the_time_that_it_is_looked_at_has_stopped(
    full: SqliteStore, verb: Callable[[str], Any], end: Any, *, removed: bool
) -> None:
    hands = Hands(full)
    task_id = hands.submit()
    held, carried_out = hands.claim_one(), verb(task_id)
    asked = next(carried_out)
    while not isinstance(asked, Watch):
        asked = carried_out.send(full.exchange(asked) if isinstance(asked, Request) else asked(full))
    hands.finish(held)
    aged = next(aged for aged in full.survey(0, 1 << 62, 10_000) if aged.key == held.key)
    full.empty([(aged.key, aged.ended_at)])
    with pytest.raises(StopIteration) as ended:
        carried_out.send(Glance(task_id, UNKNOWN, None, 0) if removed else full.glance([task_id])[0])
    assert ended.value.value == end


def test_what_others_cancel_and_retry_at_the_same_time_is_not_counted(app: duly.App) -> None:
    """One reply tells of all that went in one transaction."""
    app.submit_many(app.passport("mail:send") for _ in range(2))
    own, other = ask(app._store(), app._desk.page(Filter(), "newest", None, 2))
    cancelled = Reply(now=1, cancelled={own.id: "asked", other.id: "asked"})
    retried = Reply(now=1, retried={own.id: Retried(True, "ready"), other.id: Retried(False, "ready")})
    assert _page_of(Desk().cancel_page(Filter(), None, 9, ""), [own], cancelled)[:2] == (0, [own.id])
    assert _page_of(Desk().retry_page(Filter(), None, 9), [own], retried)[:2] == (1, 0)


def _page_of(verb: Any, rows: list[TaskRow], reply: Reply) -> Any:
    next(verb)
    verb.send(rows)
    with pytest.raises(StopIteration) as end:
        verb.send(reply)
    return end.value.value


# what cannot be meant


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("which", "why"),
    [
        ({}, "which tasks"),
        ({"first": 3}, "which tasks"),
        ({"state": None, "action": None}, "which tasks"),
        ({"stat": "ready"}, "no filter 'stat'"),
        ({"by": "date", "queue": "mail"}, "no filter 'by'"),
        ({"state": "broken"}, "bad state"),
        ({"state": 7}, "bad state"),
        ({"state": ["failed", 7]}, "bad state"),
        ({"state": "succeeded"}, "succeeded cannot be"),
        ({"queue": "mail", "first": -1}, "bad first"),
        ({"queue": "mail", "first": "3"}, "bad first"),
        ({"since": "yesterday"}, "bad since"),
    ],
)
def test_a_filter_that_means_nothing_or_what_cannot_be_done_is_refused(
    app: duly.App, verb: str, which: dict[str, Any], why: str
) -> None:
    for dry_run in (False, True):
        with pytest.raises(OptionInvalid, match=why):
            getattr(app, verb)(dry_run=dry_run, **which)


@pytest.mark.parametrize("verb", ["cancel", "retry"])
def test_an_id_stands_alone(app: duly.App, verb: str) -> None:
    handle = app.submit("mail:send")
    for more in ({"state": "ready"}, {"dry_run": True}):
        with pytest.raises(OptionInvalid, match="an id means one task"):
            getattr(app, verb)(handle.id, **more)
    with pytest.raises(OptionInvalid, match="bad task id"):
        getattr(app, verb)(handle)
    for name in ({"action": "mail"}, {"queue": 7}):
        with pytest.raises(ActionInvalid):
            getattr(app, verb)(**name)


def test_neither_cancels_what_failed_nor_retries_what_is_ready(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match="failed cannot be cancelled"):
        app.cancel(state="failed")
    with pytest.raises(OptionInvalid, match="ready cannot be retried"):
        app.retry(state=["failed", "ready"])
    with pytest.raises(OptionInvalid, match="waiting cannot be retried: failed or scheduled can"):
        app.retry(state="waiting")


def test_async_twins_do_the_same(app: duly.App) -> None:
    async def all_of_it() -> list[Any]:
        handle = await app.asubmit("mail:send", delay="1h")
        counted = await app.acancel(queue="default", dry_run=True), await app.aretry(state="scheduled", queue="default")
        return [*counted, await app.acancel(action="mail:send"), await app.acancel(handle.id)]

    assert asyncio.run(all_of_it()) == [(1, 0), (1, 0), (1, 0), "ended"]


def in_a_handler() -> list[Any]:
    app = duly.App("sqlite:///nowhere.db")  # inside a handler that is its worker's
    return [
        app.cancel(queue="mail", dry_run=True),
        app.cancel(queue="mail", first=2),
        app.retry(state="scheduled", queue="mail"),
    ]


def test_a_handler_may_cancel_and_retry_many(tmp_path: Path) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        inside = app.action("test:inside")(in_a_handler)
        app.submit_many(app.passport("mail:send", queue="mail", delay="1h") for _ in range(5))
        with app.worker(1):
            assert inside.submit().result(timeout=30) == [[5, 0], [2, 0], [3, 0]]
