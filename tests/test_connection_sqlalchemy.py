"""Tasks that are part of a transaction of SQLAlchemy's: a Connection's, a Session's, and those of their async twins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import duly
from duly.errors import OptionInvalid, StoreForeign
from tests.engine import errands

SECONDS = 30


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoice"
    number: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def app(database: str) -> Iterator[duly.App]:
    with duly.App(database, poll=60, lease=3600) as app:
        yield app


@pytest.fixture
def engine(database: str) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(named(database))
    Base.metadata.create_all(engine)
    yield engine
    engine.dispose()


def named(database: str) -> str:
    return database.replace("postgresql://", "postgresql+psycopg://")


def seen(app: duly.App, database: str) -> tuple[int, int]:
    """How many invoices and tasks others see."""
    with psycopg.connect(database) as other:
        ((count,),) = other.execute("select count(*) from invoice").fetchall()
    return count, len(list(app.tasks()))


BOTH = pytest.mark.parametrize("kind", [sqlalchemy.Connection, Session])


@BOTH
def test_a_task_is_there_when_the_transaction_is_committed_and_not_before(
    app: duly.App, engine: sqlalchemy.Engine, database: str, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine) as connection:
        handle = app.submit("invoice:send", {"number": 1}, connection=connection)
        connection.execute(sqlalchemy.insert(Invoice).values(number=1))
        assert (handle.state, seen(app, database)) == ("ready", (0, 0))
        connection.commit()
        assert (handle.refresh().state, seen(app, database)) == ("ready", (1, 1))


@BOTH
def test_a_task_is_never_there_if_the_transaction_is_rolled_back(
    app: duly.App, engine: sqlalchemy.Engine, database: str, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine) as connection:
        connection.execute(sqlalchemy.insert(Invoice).values(number=1))
        app.submit_many([app.passport("invoice:send"), app.passport("invoice:send")], connection=connection)
        connection.rollback()
        connection.commit()
    assert seen(app, database) == (0, 0)


@BOTH
def test_whoever_closes_it_without_a_commit_has_submitted_nothing(
    app: duly.App, engine: sqlalchemy.Engine, database: str, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine) as connection:
        app.submit("invoice:send", connection=connection)
    assert seen(app, database) == (0, 0)
    with kind(engine) as connection, connection.begin():
        app.submit("invoice:send", connection=connection)
    assert seen(app, database) == (0, 1)


@BOTH
def test_a_savepoint_takes_its_tasks_along(
    app: duly.App, engine: sqlalchemy.Engine, database: str, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine) as connection:
        app.submit("invoice:send", connection=connection)
        with connection.begin_nested() as inner:
            app.submit("invoice:send", connection=connection)
            inner.rollback()
        connection.commit()
    assert seen(app, database) == (0, 1)


def test_a_worker_does_it_after_the_commit_and_not_before(app: duly.App, engine: sqlalchemy.Engine) -> None:
    pid = app.action("errand:pid")(errands.pid)
    with app.worker(1), Session(engine) as session:
        pid.submit().result(timeout=SECONDS)  # from now on its bell hears
        session.add(Invoice(number=1))
        handle = pid.using(connection=session).submit()
        pid.submit().result(timeout=SECONDS)
        with pytest.raises(duly.TaskNotFound):
            handle.refresh()
        session.commit()
        assert handle.result(timeout=SECONDS) > 0


@BOTH
def test_in_autocommit_mode_nothing_could_be_rolled_back(
    app: duly.App, engine: sqlalchemy.Engine, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine.execution_options(isolation_level="AUTOCOMMIT")) as connection:
        with pytest.raises(OptionInvalid, match="autocommit"):
            app.submit("invoice:send", connection=connection)
        assert connection.execute(text("select 1")).scalar() == 1  # nothing was broken by that
    assert not list(app.tasks())


def test_a_transaction_that_does_not_see_others_commits_is_refused(app: duly.App, engine: sqlalchemy.Engine) -> None:
    session = Session(engine.execution_options(isolation_level="REPEATABLE READ"))
    with session, pytest.raises(OptionInvalid, match="read committed is wanted"):
        app.submit("invoice:send", connection=session)


def test_another_database_is_not_the_stores(app: duly.App, engine: sqlalchemy.Engine, server: Any) -> None:
    session = Session(sqlalchemy.create_engine(named(server.url()), poolclass=sqlalchemy.NullPool))
    with session, pytest.raises(StoreForeign, match="no schema duly of duly's"):
        app.submit("invoice:send", connection=session)


def test_one_on_another_database_or_driver_is_refused_by_its_kind(app: duly.App) -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as connection, Session(engine) as session:
        for given in (connection, session, engine):
            with pytest.raises(OptionInvalid, match=r"sqlalchemy\..*wanted is .*Connection or Session"):
                app.submit("invoice:send", connection=given)
    engine.dispose()


def asynchronous(database: str, kind: Any, main: Callable[[Any], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(named(database))
        try:
            async with kind(engine) as connection:
                return await main(connection)
        finally:
            await engine.dispose()

    return asyncio.run(run())


ASYNC = pytest.mark.parametrize("kind", [AsyncConnection, AsyncSession])


@ASYNC
def test_async_code_has_async_transactions(
    app: duly.App, engine: sqlalchemy.Engine, database: str, kind: type[AsyncConnection | AsyncSession]
) -> None:
    async def main(connection: Any) -> None:
        lost = await app.asubmit("invoice:send", connection=connection)
        await connection.rollback()
        await connection.execute(sqlalchemy.insert(Invoice).values(number=1))
        kept = await app.asubmit_many([app.passport("invoice:send")], connection=connection)
        kept.append(await app.action("errand:pid")(errands.pid).using(connection=connection).asubmit())
        assert not [task async for task in app.atasks()]
        await connection.commit()
        assert lost.id not in [handle.id for handle in kept]

    asynchronous(database, kind, main)
    assert seen(app, database) == (1, 2)


@ASYNC
def test_async_code_is_refused_in_autocommit_mode_too(app: duly.App, database: str, kind: Any) -> None:
    async def main(connection: Any) -> None:
        with pytest.raises(OptionInvalid, match="autocommit"):
            await app.asubmit("invoice:send", connection=connection)

    asynchronous(database, lambda engine: kind(engine.execution_options(isolation_level="AUTOCOMMIT")), main)
    assert not list(app.tasks())


@ASYNC
def test_an_async_one_is_not_for_code_that_is_not(app: duly.App, database: str, kind: Any) -> None:
    async def main(connection: Any) -> None:
        with pytest.raises(OptionInvalid, match="it is async, and so is `asubmit`"):
            app.submit("invoice:send", connection=connection)

    asynchronous(database, kind, main)


@BOTH
def test_one_that_is_not_async_is_not_for_async_code(
    app: duly.App, engine: sqlalchemy.Engine, kind: Callable[[sqlalchemy.Engine], Any]
) -> None:
    with kind(engine) as connection, pytest.raises(OptionInvalid, match="it is not async, and neither is `submit`"):
        asyncio.run(app.asubmit("invoice:send", connection=connection))
