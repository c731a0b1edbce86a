"""Tasks that are part of the caller's own transaction: there when it is committed, and never if it is not."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel
from psycopg.rows import dict_row

import duly
from duly.engine.asking import ask, call
from duly.errors import OptionInvalid, StoreForeign, StoreReadOnly
from duly.store.postgres import callers, session
from duly.store.postgres.address import address_of
from tests.engine import errands
from tests.helpers import eventually

SECONDS = 30


@pytest.fixture
def app(database: str) -> Iterator[duly.App]:
    with duly.App(database, poll=60, lease=3600) as app:
        yield app


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database) as connection:
        connection.execute("create table invoice (number integer)")
        connection.commit()
        yield connection
        connection.rollback()


def invoices(app: duly.App, connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """How many invoices and tasks others see."""
    with psycopg.connect(connection.info.dsn, password=connection.info.password) as other:
        ((count,),) = other.execute("select count(*) from invoice").fetchall()
    return count, len(list(app.tasks()))


def test_a_task_is_there_when_the_transaction_is_committed_and_not_before(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("insert into invoice values (1)")
    handle = app.submit("invoice:send", {"number": 1}, connection=connection)
    assert (handle.state, invoices(app, connection)) == ("ready", (0, 0))
    connection.commit()
    assert (handle.refresh().state, invoices(app, connection)) == ("ready", (1, 1))


def test_a_task_is_never_there_if_the_transaction_is_rolled_back(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("insert into invoice values (1)")
    handle = app.submit("invoice:send", connection=connection)
    connection.rollback()
    assert invoices(app, connection) == (0, 0)
    with pytest.raises(duly.TaskNotFound):
        handle.refresh()


def test_a_savepoint_takes_its_tasks_along(app: duly.App, connection: psycopg.Connection[Any]) -> None:
    app.submit("invoice:send", connection=connection)
    with connection.transaction(force_rollback=True):
        app.submit("invoice:send", connection=connection)
    connection.commit()
    assert len(list(app.tasks())) == 1


def test_a_worker_is_woken_by_the_commit_and_whoever_waits_by_the_end(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    pid = app.action("errand:pid")(errands.pid)
    with app.worker(1):
        pid.submit().result(timeout=SECONDS)  # from now on its bell hears
        handle = pid.using(connection=connection).submit()
        connection.commit()
        assert handle.result(timeout=SECONDS) > 0


def test_an_action_by_its_own_name_keeps_its_connection_among_other_options(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    pid = app.action("errand:pid")(errands.pid)
    handle = pid.using(connection=connection).using(delay="1h").submit()
    assert handle.state == "scheduled"
    connection.rollback()
    assert not list(app.tasks())


def test_what_has_ended_is_not_stored_again_by_who_is_stopped_in_between(
    app: duly.App, connection: psycopg.Connection[Any], database: str
) -> None:
    """Whoever awaited it was cancelled, say, before it could be looked whether the task has ended."""
    over = app.passport("invoice:send")
    app.submit(over)
    app.handle(over.id).cancel()
    queries, lanes = session.load("duly"), {number: lane for lane, number in app._desk._lanes.items()}
    steps = callers._steps([app._desk.submission(over, "")], lanes, address_of(database, "duly"))
    statement = next(steps)
    while statement.query != "known":
        rows = connection.execute(queries[statement.query].for_driver(), statement.bindings).fetchall()
        statement = steps.send(rows)
    connection.commit()
    assert connection.execute("select from duly.task").rowcount == 0
    assert app.handle(over.id).refresh().state == "cancelled"


def test_what_has_ended_is_found_by_its_index_however_little_that_was_at_first(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    """A plan for a table of one page stays with a session of the caller's."""
    for _ in range(3):
        app.handle(app.submit("invoice:send").id).cancel()
    connection.execute("analyze duly.ended")
    for _ in range(8):
        connection.execute("select duly.has_ended('another')")
    query = "select seq_scan, idx_scan from pg_stat_xact_user_tables where relname = 'ended'"
    ((scanned, looked_up),) = connection.execute(query).fetchall()
    assert not scanned
    assert looked_up


def test_a_passport_that_was_submitted_before_is_one_task(app: duly.App, connection: psycopg.Connection[Any]) -> None:
    new, old, over = (app.passport("invoice:send") for _ in range(3))
    app.submit_many([old, over])
    app.cancel(over.id)
    handles = app.submit_many([new, old, new, over], connection=connection)
    assert [handle.state for handle in handles] == ["ready", "ready", "ready", "cancelled"]
    connection.commit()
    assert len(list(app.tasks())) == 3


def test_many_are_one_with_the_transaction(
    app: duly.App, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duly.engine.desk.MOST_SUBMITS", 3)
    passports = [app.passport("invoice:send", number) for number in range(8)]
    handles = app.submit_many(iter(passports), connection=connection)
    assert [handle.id for handle in handles] == [passport.id for passport in passports]
    assert not list(app.tasks())
    connection.commit()
    assert [task.id for task in app.tasks()] == [passport.id for passport in reversed(passports)]


def test_a_large_payload_comes_and_goes_with_the_transaction(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    text = "\0ä" * 1_000_000
    app.submit("invoice:send", text, connection=connection)
    connection.rollback()
    assert connection.execute("select count(*) from duly.chunk").fetchone() == (0,)
    handle = app.submit("invoice:send", text, connection=connection)
    connection.commit()
    key = app.look(handle.id)[0].key
    assert json.loads(ask(app._thread, call(lambda store: store.large(key, "payload")))) == text
    assert connection.execute("select count(*) from duly.loose").fetchone() == (0,)


def test_a_connection_may_make_rows_of_any_kind(app: duly.App, connection: psycopg.Connection[Any]) -> None:
    connection.row_factory = dict_row
    passport = app.passport("invoice:send")
    assert [app.submit(passport, connection=connection).state for _ in range(2)] == ["ready", "ready"]


def test_async_code_has_async_connections(app: duly.App, database: str) -> None:
    async def main() -> list[str]:
        async with await psycopg.AsyncConnection.connect(database) as connection:
            lost = await app.asubmit("invoice:send", connection=connection)
            await connection.rollback()
            kept = await app.asubmit_many([app.passport("invoice:send")], connection=connection)
            pid = app.action("errand:pid")(errands.pid)
            kept.append(await pid.using(connection=connection).asubmit())
            await connection.commit()
            with pytest.raises(OptionInvalid, match="is async"):
                app.submit("invoice:send", connection=connection)
            assert lost.id not in [handle.id for handle in kept]
            return [handle.id for handle in kept]

    assert asyncio.run(main()) == [task.id for task in app.tasks()][::-1]


def test_a_connection_that_is_not_async_is_not_for_async_code(
    app: duly.App, connection: psycopg.Connection[Any]
) -> None:
    with pytest.raises(OptionInvalid, match="it is not async"):
        asyncio.run(app.asubmit("invoice:send", connection=connection))


def test_without_a_transaction_nothing_could_be_rolled_back(app: duly.App, connection: psycopg.Connection[Any]) -> None:
    connection.autocommit = True
    with pytest.raises(OptionInvalid, match="autocommit"):
        app.submit("invoice:send", connection=connection)
    with connection.transaction(force_rollback=True):
        app.submit("invoice:send", connection=connection)
    assert not list(app.tasks())


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
def test_a_transaction_that_does_not_see_others_commits_is_refused(
    app: duly.App, connection: psycopg.Connection[Any], level: IsolationLevel
) -> None:
    connection.isolation_level = level
    with pytest.raises(OptionInvalid, match="read committed is wanted"):
        app.submit("invoice:send", connection=connection)
    connection.execute("insert into invoice values (1)")
    connection.commit()  # nothing was broken by that


def test_another_database_is_not_the_stores(app: duly.App, server: Any) -> None:
    name = server.create_database()
    try:
        with psycopg.connect(server.url(name)) as other:
            with pytest.raises(StoreForeign, match="no schema duly of duly's"):
                app.submit("invoice:send", connection=other)
            other.rollback()
            with duly.App(server.url(name)) as twin:
                twin.submit("some:thing")
            with pytest.raises(StoreForeign, match="another store"):
                app.submit("invoice:send", connection=other)
    finally:
        server.drop_database(name)


def test_a_role_that_may_not_is_told_so(app: duly.App, connection: psycopg.Connection[Any], server: Any) -> None:
    app.submit("invoice:send")
    role = f"{connection.info.dbname}_reader"
    connection.execute(f"create role {role}")
    connection.execute(f"set local role {role}")
    with pytest.raises(StoreReadOnly, match="may not store tasks"):
        app.submit("invoice:send", connection=connection)
    connection.rollback()


def test_what_is_under_way_when_a_store_moves_is_moved_and_nothing_after_it(
    app: duly.App, connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    app.submit("invoice:send", connection=connection)
    moving = threading.Thread(target=app.copy_to, args=[f"sqlite:///{tmp_path}/new.db"])
    moving.start()
    waiting = "select 1 from pg_locks where not granted and relation = 'duly.task'::regclass"
    eventually(lambda: connection.execute(waiting).fetchall())
    connection.commit()
    moving.join(SECONDS)
    with pytest.raises(duly.StoreMoved, match=r"was moved to sqlite:.*/new\.db"):
        app.submit("invoice:send", connection=connection)
    with duly.App(f"sqlite:///{tmp_path}/new.db") as new:
        assert len(list(new.tasks())) == 1


@pytest.mark.parametrize("given", ["postgresql://x", 5, object()])
def test_what_is_no_connection_is_refused_by_its_kind(app: duly.App, given: Any) -> None:
    with pytest.raises(OptionInvalid, match="SQLAlchemy's Connection or Session"):
        app.submit("invoice:send", connection=given)
    with pytest.raises(OptionInvalid, match="SQLAlchemy's Connection or Session"):
        asyncio.run(app.asubmit("invoice:send", connection=given))


def test_a_store_in_a_file_is_part_of_no_transaction_of_others(tmp_path: Any) -> None:
    with duly.App(f"sqlite:///{tmp_path}/tasks.db") as app:
        with pytest.raises(OptionInvalid, match="same PostgreSQL database"):
            app.submit("invoice:send", connection=object())
        assert not (tmp_path / "tasks.db").exists()
        assert app.submit("invoice:send", connection=None).state == "ready"
