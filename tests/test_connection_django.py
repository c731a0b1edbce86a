"""Tasks that are part of a transaction of Django's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils.functional import empty

import duly
from duly.errors import OptionInvalid, StoreForeign
from tests.engine import errands

SECONDS = 30


@pytest.fixture
def app(database: str) -> Iterator[duly.App]:
    with duly.App(database, poll=60, lease=3600) as app:
        yield app


@pytest.fixture(autouse=True)
def shop(database: str) -> Iterator[None]:
    """Django is set up for this database; afterwards it is as it was when it was imported."""
    with psycopg.connect(database) as given:
        given.execute("create table invoice (number integer)")
        parts = {name.upper(): given.info.get_parameters()[name] for name in ("host", "port", "user")}
        parts |= {"NAME": given.info.dbname, "PASSWORD": given.info.password}
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", **parts}})
    apps.populate([])
    yield
    connection.close()
    del connections["default"], connections.settings
    connections._settings = None
    settings._wrapped = empty


def put(number: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("insert into invoice values (%s)", [number])


def seen(app: duly.App, database: str) -> tuple[int, int]:
    """How many invoices and tasks others see."""
    with psycopg.connect(database) as other:
        ((count,),) = other.execute("select count(*) from invoice").fetchall()
    return count, len(list(app.tasks()))


def test_a_task_is_there_when_the_transaction_is_committed_and_not_before(app: duly.App, database: str) -> None:
    with transaction.atomic():
        handle = app.submit("invoice:send", {"number": 1}, connection=connection)
        put(1)
        assert (handle.state, seen(app, database)) == ("ready", (0, 0))
    assert (handle.refresh().state, seen(app, database)) == ("ready", (1, 1))


def test_a_task_is_never_there_if_the_transaction_is_rolled_back(app: duly.App, database: str) -> None:
    @transaction.atomic
    def order() -> None:
        put(1)
        app.submit_many([app.passport("invoice:send"), app.passport("invoice:send")], connection=connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        order()
    assert seen(app, database) == (0, 0)


def test_the_inner_of_two_takes_its_tasks_along(app: duly.App, database: str) -> None:
    with transaction.atomic():
        app.submit("invoice:send", connection=connection)
        with transaction.atomic():
            app.submit("invoice:send", connection=connection)
            transaction.set_rollback(True)
    assert seen(app, database) == (0, 1)


def test_a_connection_by_its_alias_is_the_same(app: duly.App, database: str) -> None:
    with transaction.atomic(using="default"):
        app.submit("invoice:send", connection=connections["default"])
        transaction.set_rollback(True, using="default")
    assert seen(app, database) == (0, 0)


def test_a_worker_does_it_after_the_commit_and_not_before(app: duly.App) -> None:
    pid = app.action("errand:pid")(errands.pid)
    with app.worker(1):
        pid.submit().result(timeout=SECONDS)  # from now on its bell hears
        with transaction.atomic():
            handle = pid.using(connection=connection).submit()
            pid.submit().result(timeout=SECONDS)
            with pytest.raises(duly.TaskNotFound):
                handle.refresh()
        assert handle.result(timeout=SECONDS) > 0


def test_outside_of_a_transaction_nothing_could_be_rolled_back(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match=r"autocommit.*transaction\.atomic"):
        app.submit("invoice:send", connection=connection)
    put(1)
    with pytest.raises(OptionInvalid, match=r"autocommit.*transaction\.atomic"):
        app.submit("invoice:send", connection=connection)
    assert not list(app.tasks())


def test_another_database_is_not_the_stores(app: duly.App, server: Any) -> None:
    connections["default"].settings_dict["NAME"] = "postgres"
    with pytest.raises(StoreForeign, match="no schema duly of duly's"), transaction.atomic():
        app.submit("invoice:send", connection=connection)


def test_one_on_another_kind_of_database_is_refused_by_its_kind(app: duly.App, tmp_path: Path) -> None:
    connections.settings["files"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3", "NAME": f"{tmp_path}/files.db",
    }  # fmt: skip
    with pytest.raises(OptionInvalid, match=r"django\..*wanted is .*Django's"), transaction.atomic(using="files"):
        app.submit("invoice:send", connection=connections["files"])
    connections["files"].close()
    del connections["files"]


def test_async_code_submits_where_its_transaction_is(app: duly.App, database: str) -> None:
    def order() -> None:
        with transaction.atomic():
            app.submit("invoice:send", connection=connection)
            put(1)
        connection.close()

    asyncio.run(sync_to_async(order)())
    assert seen(app, database) == (1, 1)


def test_it_is_not_for_async_code_itself(app: duly.App) -> None:
    with pytest.raises(OptionInvalid, match="it is not async, and neither is `submit`"):
        asyncio.run(app.asubmit("invoice:send", connection=connection))
