"""Behind the pooler transactions work, and nothing that relies on a session does."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from tests.faults.pooler import Pooler
from tests.helpers import eventually
from tests.server import Server

CLIENTS = 8


@pytest.fixture(scope="module")
def server(postgres) -> Iterator[Server]:
    server = postgres.server()
    yield server
    server.end()


@pytest.fixture
def pooler(server: Server) -> Iterator[Pooler]:
    with Pooler(server, size=2) as pooler:
        yield pooler


def connected(pooler: Pooler) -> psycopg.Connection:
    return psycopg.connect(pooler.url(), autocommit=True, prepare_threshold=None)


def backend(connection: psycopg.Connection) -> int:
    return connection.execute("select pg_backend_pid()").fetchone()[0]


def test_a_transaction_has_one_backend_and_the_next_another(pooler: Pooler) -> None:
    with closing(connected(pooler)) as connection:
        with connection.transaction():
            first = {backend(connection) for _ in range(3)}
        with connection.transaction():
            second = {backend(connection) for _ in range(3)}
        assert len(first) == len(second) == 1
        assert first != second
        assert connection.info.backend_pid not in first | second


def test_a_pipeline_is_answered_in_whole(pooler: Pooler) -> None:
    with closing(connected(pooler)) as connection, connection.pipeline():
        rows = [connection.execute("select %s::int, repeat('x', 10000)", [number]) for number in range(100)]
        assert [row.fetchone()[0] for row in rows] == list(range(100))


def test_prepared_statements_and_settings_are_not_to_be_had(pooler: Pooler) -> None:
    with closing(connected(pooler)) as connection:
        connection.execute("set application_name = 'mine'")
        assert connection.execute("show application_name").fetchone() == ("",)
        connection.prepare_threshold = 5
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("select 1", prepare=True)


def test_more_clients_than_server_connections_are_all_served(pooler: Pooler, server: Server) -> None:
    def work(_: int) -> int:
        with closing(connected(pooler)) as connection:
            for _ in range(20):
                with connection.transaction():
                    backend(connection)
            return backend(connection)

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert 1 <= len(set(pool.map(work, range(CLIENTS)))) <= 2


def test_who_leaves_in_the_middle_of_a_transaction_holds_nothing(pooler: Pooler, server: Server) -> None:
    for _ in range(3):
        connection = connected(pooler)
        connection.execute("begin")
        connection.execute("select pg_advisory_xact_lock(1)")
        connection.close()
        eventually(lambda: server.run("select 1 from pg_locks where locktype = 'advisory'") == [])


def test_a_backend_that_ends_takes_its_client_with_it_and_is_replaced(pooler: Pooler, server: Server) -> None:
    with closing(connected(pooler)) as connection:
        connection.execute("begin")
        server.run("select pg_terminate_backend(%s)", backend(connection))
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    server.end_sessions()

    def are_replaced() -> bool:
        try:
            with closing(connected(pooler)) as connection:
                return len({backend(connection) for _ in range(4)}) == 2
        except psycopg.OperationalError:  # one that was told to end, and has not heard it yet
            return False

    eventually(are_replaced)


def test_settings_of_a_session_are_refused_at_once(pooler: Pooler) -> None:
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter: options"):
        psycopg.connect(pooler.url(), options="-c search_path=other")
