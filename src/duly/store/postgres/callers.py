"""Storing tasks within the caller's own transaction: they are there when that is committed, and never if it is not.

A caller has a connection of psycopg's, or what SQLAlchemy or Django put around one; of these nothing is imported.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import psycopg
from psycopg import AsyncConnection, AsyncCursor, Connection, Cursor, errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from duly.core.task import State
from duly.errors import OptionInvalid, StoreForeign, StoreReadOnly
from duly.ports import Glance, Submission
from duly.store.apart import Reference, fits, pieces
from duly.store.postgres.address import Address
from duly.store.postgres.large import added
from duly.store.postgres.ringer import channel_of_nodes
from duly.store.postgres.session import Statement, load
from duly.store.postgres.trouble import duly_error, said
from duly.store.postgres.wire import Row
from duly.store.rows import text

Lanes: TypeAlias = Mapping[int, tuple[str, str, int]]
"""What lanes are, by number: (queue, action, version)."""

Steps: TypeAlias = Generator[Statement, list[Row], list[Glance]]

_KINDS = (
    "wanted is a connection of psycopg 3, SQLAlchemy's Connection or Session on postgresql+psycopg, or Django's "
    "connection"
)
_NO_TRANSACTION = (
    "bad connection: it is in autocommit mode and in no transaction, so nothing would be rolled back with yours; "
    "begin one (`with connection.transaction():`, `transaction.atomic()`), or leave connection= out"
)
_NOT_COMMITTED = (
    "bad connection: its transaction does not see what others commit meanwhile, so a task could be stored twice; "
    "isolation level read committed is wanted"
)


class Caller:
    """The transaction of somebody else's that a connection is in; `address` is where the App's own store is."""

    def __init__(self, connection: Any, address: Address) -> None:
        self._given = connection
        self._address = address
        self._sql = load(address.schema)

    def submit(self, submissions: Sequence[Submission], lanes: Lanes) -> list[Glance]:
        """Store tasks, and return how those stand that were known before. Raises `OptionInvalid` and `StoreError`.

        After a `StoreError` of the server's the transaction can only be rolled back.
        """
        connection = _sync(self._given)
        _refuse_autocommit(connection)
        steps = _steps(submissions, lanes, self._address)
        try:
            with Cursor(connection, row_factory=tuple_row) as cursor:
                rows: list[Row] | None = None
                while True:
                    query, bindings = steps.send(rows)  # type: ignore[arg-type]
                    cursor.execute(self._sql[query].for_driver(), bindings, prepare=False)
                    rows = cursor.fetchall() if cursor.description else []
        except StopIteration as stop:
            return list(stop.value)
        except psycopg.Error as error:
            raise _told(error, self._address) from error

    async def asubmit(self, submissions: Sequence[Submission], lanes: Lanes) -> list[Glance]:
        """Like `submit`, on an async connection."""
        connection = await _async(self._given)
        _refuse_autocommit(connection)
        steps = _steps(submissions, lanes, self._address)
        try:
            async with AsyncCursor(connection, row_factory=tuple_row) as cursor:
                rows: list[Row] | None = None
                while True:
                    query, bindings = steps.send(rows)  # type: ignore[arg-type]
                    await cursor.execute(self._sql[query].for_driver(), bindings, prepare=False)
                    rows = await cursor.fetchall() if cursor.description else []
        except StopIteration as stop:
            return list(stop.value)
        except psycopg.Error as error:
            raise _told(error, self._address) from error


def _steps(submissions: Sequence[Submission], lanes: Lanes, address: Address) -> Steps:
    """What is asked of the server, statement by statement."""
    ids = [submission.id for submission in submissions]
    (fit,) = yield Statement("same_lanes", {"lanes": text([(number, *lane) for number, lane in lanes.items()])})
    committed, same = fit
    if not committed:
        raise OptionInvalid(_NOT_COMMITTED)
    if not same:
        raise StoreForeign(f"the connection's database has another store in schema {address.schema} than {address}")
    submissions, apart = yield from _without_large(submissions)
    left_out = yield Statement("submit", {"submits": text(submissions), "parents": "{}", "careful": True})
    ((_, ended),) = yield Statement("known", {"ids": ids})
    if apart:
        yield Statement("settle", {"rows": text(apart)})
    known = {*ended, *(task_id for task_id, _ in left_out)}
    if any(one.state == State.READY and one.id not in known for one in submissions):
        yield Statement("ring", {"channels": [channel_of_nodes(address.schema)]})
    if not known:
        return []
    return [Glance(*row) for row in (yield Statement("glance", {"ids": list(known)}))]


def _without_large(
    submissions: Sequence[Submission],
) -> Generator[Statement, list[Row], tuple[list[Submission], list[tuple[str, None, str]]]]:
    """Have large payloads kept apart; return what is to be stored, and the rows that name those."""
    small: list[Submission] = []
    apart: list[tuple[str, None, str]] = []
    for submission in submissions:
        if fits(submission.payload):
            small.append(submission)
            continue
        numbers: list[int] = []
        for piece in pieces(submission.payload):
            ((number,),) = yield added(piece)
            numbers.append(number)
        payload = str(Reference(len(submission.payload), numbers))
        small.append(msgspec.structs.replace(submission, payload=payload))
        apart.append((submission.id, None, payload))
    return small, apart


def _told(error: psycopg.Error, address: Address) -> Exception:
    match error:
        case errors.UndefinedTable() | errors.InvalidSchemaName():
            return StoreForeign(
                f"the connection's database has no schema {address.schema} of duly's; the App's store is {address}"
            )
        case errors.InsufficientPrivilege():
            return StoreReadOnly(
                f"the connection's role may not store tasks in schema {address.schema} "
                f"({said(error, address)}); grant it what docs/postgresql.md says"
            )
        case _:
            return duly_error(error, address)


def _refuse_autocommit(connection: Connection[Any] | AsyncConnection[Any]) -> None:
    if connection.autocommit and connection.info.transaction_status == TransactionStatus.IDLE:
        raise OptionInvalid(_NO_TRANSACTION)


def _sync(given: Any) -> Connection[Any]:
    """The connection itself; what is around it has begun a transaction as it would have by any statement."""
    if isinstance(given, AsyncConnection) or _is_async_of_sqlalchemy(given):
        raise OptionInvalid(f"bad connection {_kind(given)}: it is async, and so is `asubmit`; `submit` is not")
    found = given
    if hasattr(given, "ensure_connection"):  # Django
        given.ensure_connection()
        found = given.connection
    elif not isinstance(given, Connection):
        if callable(getattr(found, "connection", None)):  # SQLAlchemy: a Session
            found = found.connection()
        if callable(getattr(found, "in_transaction", None)) and not found.in_transaction():  # and its Connection
            found.begin()
        found = getattr(getattr(found, "connection", found), "driver_connection", found)
    if not isinstance(found, Connection):
        raise OptionInvalid(f"bad connection {_kind(given)}: {_KINDS}")
    return found


async def _async(given: Any) -> AsyncConnection[Any]:
    found = given
    if _is_async_of_sqlalchemy(given):
        if hasattr(found, "sync_session"):  # an AsyncSession
            found = await found.connection()
        if not found.in_transaction():  # and its AsyncConnection
            await found.begin()
        found = (await found.get_raw_connection()).driver_connection
    elif not isinstance(given, AsyncConnection) and hasattr(given, "connection"):  # psycopg's, SQLAlchemy's, Django's
        raise OptionInvalid(f"bad connection {_kind(given)}: it is not async, and neither is `submit`; `asubmit` is")
    if not isinstance(found, AsyncConnection):
        raise OptionInvalid(f"bad connection {_kind(given)}: {_KINDS}")
    return found


def _is_async_of_sqlalchemy(given: Any) -> bool:
    return hasattr(given, "get_raw_connection") or hasattr(given, "sync_session")


def _kind(given: Any) -> str:
    return f"{type(given).__module__}.{type(given).__qualname__}"
