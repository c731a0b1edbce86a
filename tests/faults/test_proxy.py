"""The network that fails does so as it is told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from tests.faults.proxy import Fate, Proxy
from tests.helpers import eventually
from tests.server import Server


@pytest.fixture(scope="module")
def server(postgres) -> Iterator[Server]:
    server = postgres.server()
    server.run("create table once (number int)")
    yield server
    server.end()


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server) as proxy:
        yield proxy


def kept(server: Server, number: int) -> bool:
    return server.run("select 1 from once where number = %s", number) != []


def test_all_is_passed_on_and_counted(proxy: Proxy) -> None:
    with psycopg.connect(proxy.url()) as connection, connection.pipeline():
        rows = [connection.execute("select repeat('x', %s)", [size]) for size in (1, 100_000, 1_000_000)]
        assert [len(row.fetchone()[0]) for row in rows] == [1, 100_000, 1_000_000]
    assert (proxy.connections, proxy.commits, proxy.hits) == (1, 1, 0)


@pytest.mark.parametrize("fate", [Fate.SWALLOW, Fate.TEAR])
@pytest.mark.parametrize("pipelined", [False, True])
def test_the_reply_to_a_commit_is_lost_and_the_commit_is_not(proxy: Proxy, server, fate: Fate, pipelined: bool) -> None:
    server.run("truncate once")
    proxy.decide(lambda number: fate if number == 2 else Fate.PASS)
    with closing(psycopg.connect(proxy.url())) as connection:
        connection.execute("insert into once values (1)")
        connection.commit()
        with pytest.raises(psycopg.OperationalError, match="closed"):
            write_2(connection, pipelined)
    assert (proxy.commits, proxy.hits) == (2, 1)
    assert kept(server, 2)


def write_2(connection: psycopg.Connection, pipelined: bool) -> None:
    if pipelined:
        with connection.pipeline():
            for statement in ("begin", "insert into once values (2)", "commit"):
                connection.execute(statement)
    else:
        connection.execute("insert into once values (2)")
        connection.commit()


def test_a_connection_falls_silent(proxy: Proxy, server) -> None:
    server.run("truncate once")
    proxy.decide(lambda _: Fate.SILENCE)
    with ThreadPoolExecutor() as pool, closing(psycopg.connect(proxy.url())) as connection:
        connection.execute("insert into once values (3)")
        commit = pool.submit(connection.commit)
        eventually(lambda: kept(server, 3))
        assert not commit.done()
        assert proxy.cut() == 1
        with pytest.raises(psycopg.OperationalError):
            commit.result(30)


def test_connections_are_cut(proxy: Proxy) -> None:
    with closing(psycopg.connect(proxy.url())) as first, closing(psycopg.connect(proxy.url())) as second:
        assert proxy.cut() == 2
        for connection in (first, second):
            with pytest.raises(psycopg.OperationalError):
                connection.execute("select 1")
    with closing(psycopg.connect(proxy.url())) as connection:
        connection.execute("select 1")


def test_replies_are_held_back_and_come_after_all(proxy: Proxy) -> None:
    with ThreadPoolExecutor() as pool, closing(psycopg.connect(proxy.url())) as connection:
        with proxy.held():
            asked = pool.submit(lambda: connection.execute("select 1").fetchone())
            threading.Event().wait(0.1)
            assert not asked.done()
        assert asked.result(30) == (1,)


def test_it_leads_to_another_server(proxy: Proxy, own_server: Server) -> None:
    own_server.run("create database another")
    proxy.server = own_server
    with closing(psycopg.connect(proxy.url("another"))):
        pass


def test_where_no_server_is_connections_end(proxy: Proxy, own_server: Server) -> None:
    proxy.server = own_server
    own_server.stop()
    with pytest.raises(psycopg.OperationalError, match="closed"):
        psycopg.connect(proxy.url())
    own_server.start()
    with closing(psycopg.connect(proxy.url())):
        pass
