"""duly's words for what PostgreSQL and the way to it may answer: each names the cause and the cure."""

from __future__ import annotations

import re

import psycopg
from psycopg import errors

from duly.core.record import refusal
from duly.errors import (
    DulyError,
    InvalidInput,
    StoreAway,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreMoved,
    StoreReadOnly,
    StoreUnavailable,
)
from duly.store.postgres.address import Address

REFUSED = "DU001"
"""What the schema's function `refuse` raises: the transaction was stopped on purpose."""

MOVING = "DU002"
"""What the schema's function `refuse_moving` raises: the store is part of a move."""

_NEVER = (
    "authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    '" does not exist',
    "is not permitted to log in",
    "permission denied for database",
    "invalid connection option",
    "server does not support SSL",
    "certificate",
)
"""What a server that cannot be entered says, where trying again is of no use; libpq has no code for it."""

_NOISE = re.compile(r"connection (failed|is bad): | *Is the server running [^?]*\?")
"""What libpq and its driver say besides: the cure is said here."""

_CURES = (
    (re.compile(r"too many|connection slots"), "wait, or allow more: max_connections, or the role's own limit"),
    (re.compile(r'database ".*" does not exist'), "create it, or check the url"),
)
"""What to do about a connection that is refused for a reason of its own."""

_AGAIN = (errors.DeadlockDetected, errors.SerializationFailure)
_BROKEN = ("08", "57P")
_PASSING = ("25006", "53300", "57P03")
_AWAY = ("08", "57P", "25P03", "25P04")
"""What is said by a server that ends a session, or by what is on the way to it."""

_TOO_LARGE, _TOO_LITTLE = "54", "53"


class Refused(StoreError):
    """A transaction was stopped by one of its own statements; its message says by which."""


def is_broken(error: psycopg.Error, connection: psycopg.Connection | None) -> bool:
    """Whether the connection is of no use any more: it is gone, or leads to who may not write."""
    state = error.sqlstate or ""
    return connection is None or connection.closed or state.startswith(_BROKEN) or state in _PASSING


def is_hopeless(error: psycopg.Error) -> bool:
    """Whether to connect again would end like this again."""
    return error.sqlstate is None and any(text in str(error) for text in _NEVER)


def is_anothers(error: psycopg.Error) -> bool:
    """Whether the session was another one than that in which a query was prepared."""
    return isinstance(error, errors.InvalidSqlStatementName | errors.DuplicatePreparedStatement)


def goes_again(error: psycopg.Error) -> bool:
    """Whether the same transaction is to be tried once more, since another one was in its way."""
    return isinstance(error, _AGAIN)


def duly_error(error: psycopg.Error, address: Address) -> DulyError:
    """Return duly's own error for one of the driver's, with its cause and its cure."""
    told, state = said(error, address), error.sqlstate or ""
    match error:
        case _ if state == REFUSED:
            return Refused(told)
        case _ if state == MOVING:
            return StoreMoved(f"{address}: {refusal(told)}")
        case errors.LockNotAvailable() | errors.QueryCanceled() | errors.DeadlockDetected():
            return StoreBusy(f"{address}: others have held what is to be written for too long ({told})")
        case errors.SerializationFailure() | errors.TooManyConnections():
            return StoreBusy(f"{address}: too much is going on there just now ({told})")
        case errors.DiskFull():
            return StoreFull(f"{address}: no space left on the server's disk; make room, then it goes on ({told})")
        case errors.ReadOnlySqlTransaction():
            return StoreReadOnly(f"{address}: may only be read there ({told}); name the primary, {_HOSTS}")
        case errors.InsufficientPrivilege():
            return StoreReadOnly(f"{address}: {told}; {_MAKE if _CREATES in told else ''}{_GRANT}")
        case errors.DataCorrupted() | errors.IndexCorrupted():
            return StoreDamaged(f"{address}: is damaged ({told}); restore a backup")
        case (
            errors.UndefinedTable() | errors.UndefinedColumn() | errors.UndefinedFunction() | errors.InvalidSchemaName()
        ):
            return StoreDamaged(f"{address}: is not as duly has made it ({told}); restore a backup, or start duly anew")
        case _ if isinstance(error, errors.DataError) or state.startswith(_TOO_LARGE):
            return InvalidInput(f"PostgreSQL cannot keep this: {told}")
        case _ if state.startswith(_TOO_LITTLE):
            return StoreBusy(f"{address}: the server has too little for this just now ({told})")
        case _ if state.startswith(_AWAY) or (
            not state and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        ):
            return StoreAway(f"{address}: cannot be reached: {told}")
        case _:
            return StoreError(f"{address}: {type(error).__name__}: {told}")


_CREATES = "permission denied for database"
_MAKE = "there is no such schema yet, and this role may not make it: have its owner run `duly migrate`, then "
_GRANT = "grant this role what docs/postgresql.md says"
_HOSTS = "or all hosts and target_session_attrs=read-write"


def unreachable(error: psycopg.Error, address: Address) -> StoreUnavailable:
    """The error for a server that could not be connected to."""
    told = said(error, address)
    own = next((cure for reason, cure in _CURES if reason.search(told)), None)
    if is_hopeless(error):
        cure = own or "check the url, and who may connect by the server's pg_hba.conf"
        return StoreUnavailable(f"{address}: cannot be entered: {told}; {cure}")
    return StoreAway(f"{address}: cannot be reached: {told}; {own or 'check the url, and that the server runs'}")


def said(error: psycopg.Error, address: Address) -> str:
    """Return what an error says, without what is secret, and without the statement that it is about."""
    return address.without_secrets(error.diag.message_primary or _NOISE.sub("", str(error)))
