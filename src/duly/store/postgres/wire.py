"""Queries on their way: all that there are go to the server at once, and so come their answers.

The driver's own pipeline goes to the socket with each query, and takes three times as long for it. Values go as text,
whole numbers as the widest kind; PostgreSQL makes of them what each place needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.waiting import Ready, Wait

from duly.store.postgres.connection import Connection

Row: TypeAlias = tuple[Any, ...]
Prepared: TypeAlias = dict[tuple[bytes, tuple[int, ...]], bytes]
"""Names of prepared queries, by text and kinds of values."""

_PLACE = re.compile(rb"\$(\d+)")
_UNKNOWN, _BOOL, _BIGINT = 0, 16, 20
_READ, _BOTH, _READABLE = Wait.R, Wait.RW, Ready.R
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)
_TUPLES = pq.ExecStatus.TUPLES_OK
_SYNC = pq.ExecStatus.PIPELINE_SYNC


class Query(NamedTuple):
    """A query with its values' places as $1, $2 ...; and which values those are."""

    text: bytes
    names: tuple[str, ...] = ()

    def for_driver(self) -> bytes:
        """Return it as the driver's cursors take it, with names in the places of values."""
        return _PLACE.sub(lambda match: b"%%(%s)s" % self.names[int(match[1]) - 1].encode(), self.text)


Asked: TypeAlias = tuple[Query, Mapping[str, Any]]
"""A query, and what it is given."""


def carry_out(connection: Connection, asked: Sequence[Asked], *, then: Sequence[Asked] = ()) -> list[list[Row]]:
    """Carry out queries; return the rows of each. Raises the driver's errors: the first, if the server has several.

    Unless they say otherwise, all together are one transaction, whose commit may fail, too. If one fails, so do those
    after it. What comes `then`, after a commit that was asked for, is tried, and nothing is told of it.
    """
    connection.forget_old_plans()
    wire = connection.pgconn
    dumped = [(query.text, *_dumped(query, values)) for query, values in (*asked, *then)]
    wire.enter_pipeline_mode()
    try:
        news = [_send(connection, *one) for one in dumped]
        wire.pipeline_sync()
        answers = iter(connection.wait(_answers(wire)))
        wire.exit_pipeline_mode()
    except BaseException:
        connection.close()  # what is still to come on it is nobody's
        raise
    reader: abc.Transformer = Transformer(connection)
    told = [_rows(reader, _answer(connection, new, answers)) for new in news[: len(asked)]]
    if not then:
        for commit in answers:  # the last transaction's, if that has failed: one answer more than was asked for
            _refuse_failed(commit)
    with suppress(psycopg.Error):
        for new in news[len(asked) :]:
            _answer(connection, new, answers)
    return told


def _send(connection: Connection, text: bytes, kinds: tuple[int, ...], texts: Sequence[bytes | None]) -> Prepared:
    """Send a query with values of these kinds, prepared if it can be; return what was prepared just now, by name."""
    wire = connection.pgconn
    if connection.pooled:
        wire.send_query_params(text, texts, kinds)
        return {}
    name = connection.prepared.get((text, kinds))
    if name is not None:
        wire.send_query_prepared(name, texts)
        return {}
    name = connection.next_name()
    wire.send_prepare(name, text, kinds)
    wire.send_query_prepared(name, texts)
    return {(text, kinds): name}


def _answer(connection: Connection, new: Prepared, answers: Iterator[pq.abc.PGresult]) -> pq.abc.PGresult:
    """Return what came of a query, and note what was prepared for it."""
    if new:
        _refuse_failed(next(answers))
        connection.prepared |= new
    result = next(answers)
    _refuse_failed(result)
    return result


def _refuse_failed(result: pq.abc.PGresult) -> None:
    if result.status in _FAILED:
        raise error_from_result(result)


def _answers(wire: pq.abc.PGconn) -> abc.PQGen[list[pq.abc.PGresult]]:
    """Talk to the server until all is answered."""
    results: list[pq.abc.PGresult] = []
    while wire.flush():
        if (yield _BOTH) & _READABLE:
            wire.consume_input()
    while True:
        yield _READ
        wire.consume_input()
        while not wire.is_busy():
            result = wire.get_result()
            if result is not None and result.status == _SYNC:
                return results
            if result is not None:
                results.append(result)
            elif wire.status != pq.ConnStatus.OK:
                raise error_from_result(results[-1]) if results else psycopg.OperationalError("the connection is lost")


def _rows(reader: abc.Transformer, result: pq.abc.PGresult) -> list[Row]:
    if result.status != _TUPLES or not result.ntuples:
        return []
    reader.set_pgresult(result)
    return reader.load_rows(0, result.ntuples, tuple)


def _dumped(query: Query, values: Mapping[str, Any]) -> tuple[tuple[int, ...], list[bytes | None]]:
    """The kinds and the texts of a query's values."""
    dumped = [_value(values[name]) for name in query.names]
    return tuple([kind for kind, _ in dumped]), [text for _, text in dumped]


def _value(value: Any) -> tuple[int, bytes | None]:
    """A value's kind and text."""
    if value is None:
        return _UNKNOWN, None
    if isinstance(value, str):
        return _UNKNOWN, _text(value)
    if isinstance(value, bool):
        return _BOOL, b"t" if value else b"f"
    if isinstance(value, int):
        return _BIGINT, b"%d" % value
    return _UNKNOWN, _text("{" + ",".join(map(_element, value)) + "}")


def _element(value: str | int) -> str:
    if isinstance(value, int):
        return str(int(value))
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(value: str) -> bytes:
    if "\0" in value:  # libpq would take it for the end
        raise psycopg.DataError("a text cannot contain a NUL")
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise psycopg.DataError("a text is Unicode, which a lone surrogate is not") from error
