"""A schema of duly's own in a database: made, brought up to date, and told from others' schemas."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress

import psycopg

from duly.errors import StoreForeign, StoreReadOnly
from duly.ports import Step
from duly.store import migrations
from duly.store.migrations import Migration, refuse_newer
from duly.store.postgres.address import Address
from duly.store.postgres.connection import ANSWER_SECONDS, LOCK_SECONDS, READ_SECONDS, Connection, connect
from duly.store.postgres.trouble import duly_error, said, unreachable

PACKAGE = "duly.store.postgres"

_MADE_BY_US = {"number", "kind", "name", "applied_at"}
_FOUND = """
select relname, array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped)
from pg_class c join pg_namespace n on n.oid = relnamespace
where nspname = %s order by relname <> 'migration', relname limit 3
"""
_NAMED = """
select substring(prosrc from '"(.+)"\\.ended') from pg_proc join pg_namespace n on n.oid = pronamespace
where nspname = %s and proname = 'has_ended'
"""
_LOCK = "select pg_advisory_xact_lock(hashtextextended('duly ' || %s, 0))"


def migrate(connection: Connection, address: Address, steps: Sequence[Migration]) -> None:
    """Bring the schema to the newest step, all in one transaction; refuse what a newer duly has contracted."""
    before = applied(connection, address)
    if before:
        _refuse_renamed(connection, address)
    todo = _todo(before, steps, address)
    if not todo:
        return
    try:
        with connection.waited_for(READ_SECONDS):
            _take(connection, address, steps)
    except BaseException as error:
        with suppress(psycopg.Error):
            connection.rollback()
        if before and isinstance(error, psycopg.errors.InsufficientPrivilege):
            raise _behind(todo[-1], error, address) from error
        raise


def _take(connection: Connection, address: Address, steps: Sequence[Migration]) -> None:
    """Take the steps that are still to be taken, in one transaction; who comes meanwhile waits for it.

    It does not wait for long for who has locked a table, since all that come after it wait as long; and the server ends
    it if this machine is cut off.
    """
    connection.execute("begin isolation level read committed")
    connection.execute(f"set local idle_in_transaction_session_timeout = {int(1000 * ANSWER_SECONDS)}")
    connection.execute(_LOCK, [address.schema])
    connection.execute(f"set local lock_timeout = {int(1000 * LOCK_SECONDS)}")
    before = applied(connection, address)
    if not before and not _exists(connection, address):
        connection.execute(f'create schema "{address.schema}"')
    for step in _todo(before, steps, address):
        connection.execute(step.sql.replace("{schema}", f'"{address.schema}"'))
        connection.execute(
            f'insert into "{address.schema}".migration (number, kind, name, applied_at) '  # noqa: S608 - a checked name
            f'values (%s, %s, %s, "{address.schema}".clock())',
            [step.number, step.kind, step.name],
        )
    connection.execute("commit")


def applied(connection: Connection, address: Address) -> list[Step]:
    """Return the steps of the schema that were taken; raises `StoreForeign` if it is another program's."""
    found: dict[str, list[str]] = dict(connection.execute(_FOUND, [address.schema]).fetchall())  # type: ignore[arg-type]
    if not found:
        return []
    if "migration" not in found:
        raise _foreign(address, f"it has {', '.join(found)}")
    if not _MADE_BY_US.issubset(found["migration"]):
        raise _foreign(address, "its table migration is none of duly's")
    query = f'select number, kind, name, applied_at from "{address.schema}".migration order by number'  # noqa: S608
    rows = connection.execute(query.encode()).fetchall()
    return [Step(*row) for row in rows]  # type: ignore[arg-type]


def look(address: Address, *, allow_unsafe: bool) -> list[Step]:
    """Return the steps of a schema as a connection of its own finds it; for errors see `Session`."""
    connection: Connection | None = None
    try:
        with closing(connect(address, allow_unsafe=allow_unsafe)) as connection:
            return steps_of(connection, address)
    except psycopg.Error as error:
        raise (unreachable(error, address) if connection is None else duly_error(error, address)) from error


def steps_of(connection: Connection, address: Address) -> list[Step]:
    """Return the steps of a schema, those that are still to be taken at the end; changes nothing."""
    taken = applied(connection, address)
    known = {step.number for step in taken}
    todo = [step for step in migrations.load(PACKAGE) if step.number not in known]
    return [*taken, *(Step(step.number, step.kind, step.name, None) for step in todo)]


def _todo(taken: list[Step], steps: Sequence[Migration], address: Address) -> list[Migration]:
    refuse_newer(taken, steps, address)
    done = {step.number for step in taken}
    return [step for step in steps if step.number not in done]


def _refuse_renamed(connection: Connection, address: Address) -> None:
    """Refuse a schema whose functions would write to the one that has its former name now."""
    for (name,) in connection.execute(_NAMED, [address.schema]):
        if name != address.schema:
            raise StoreForeign(
                f"{address}: the schema was named {name} when duly made it, and its functions say so; "
                f'give it that name again (alter schema "{address.schema}" rename to "{name}"), and move what is in it '
                "to one of another name by `duly copy`"
            )


def _behind(step: Migration, error: psycopg.Error, address: Address) -> StoreReadOnly:
    return StoreReadOnly(
        f"{address}: wants step {step.number:04}_{step.kind}_{step.name} of its schema, which this role may not take "
        f"({said(error, address)}); have the schema's owner run `duly migrate`"
    )


def _exists(connection: Connection, address: Address) -> bool:
    return bool(connection.execute("select 1 from pg_namespace where nspname = %s", [address.schema]).fetchall())


def _foreign(address: Address, why: str) -> StoreForeign:
    return StoreForeign(
        f"{address}: the schema {address.schema} is another program's ({why}); give duly another one by ?schema="
    )
