"""The command line with a store on a server: it is named as any other, and its password is not shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli
    from tests.server import Server

SERVED = """
import duly

app = duly.App(poll=0.1)


@app.action("email:send")
def send(to: str) -> str:
    return f"sent to {to}"
"""


@pytest.fixture
def on(cli: Cli, database: str) -> Callable[..., Any]:
    """Runs a command on an App whose store is on the server; nothing that it says has the password."""
    cli.write("served.py", SERVED)
    password = urlsplit(database).password

    def run(*arguments: str, url: str = database) -> Any:
        done = cli(*arguments, DULY_URL=url, DULY_APP="served")
        assert password is None or password not in done.out + done.err
        return done

    return run


def test_a_store_that_is_not_there_yet_is_made_by_who_submits_and_not_by_who_looks(on: Callable[..., Any]) -> None:
    done = on("tasks")
    assert (done.code, done.out) == (4, "")
    assert "there is no store postgresql://" in done.err
    assert "there is none yet at postgresql://" in on("doctor").out
    assert on("submit", "email:send", '"ann"').code == 0
    assert len(on("tasks", "--json").data()) == 1


def test_a_role_that_may_make_a_schema_makes_it_by_migrate(on: Callable[..., Any]) -> None:
    assert on("migrate", "--dry-run", "--json").data()["pending"] > 0
    assert on("tasks").code == 4
    assert on("migrate", "--json").data()["pending"] == 0
    assert on("tasks").code == 0


def test_doctor_tells_what_talks_to_the_server_and_of_its_workers(on: Callable[..., Any]) -> None:
    assert on("submit", "email:send", '"ann"').code == 0
    found = {finding["what"]: finding for finding in on("doctor", "--json").data()["findings"]}
    assert all(finding["ok"] for finding in found.values())
    assert "psycopg" in found["driver"]["text"]
    assert "sqlite" not in found
    assert found["workers"]["text"] == "0 workers at work"


def test_who_waits_is_told_how_to_stop_the_task(on: Callable[..., Any], cli: Cli, database: str) -> None:
    assert on("submit", "email:send", '"ann"').code == 0
    waits = cli.start("submit", "email:send", '"ann"', "--wait", DULY_URL=database, DULY_APP="served")
    waits.until("no worker is at work on postgresql://")
    done = waits.end(signal.SIGINT)
    assert "to stop it: duly cancel --url " in done.err
    assert str(urlsplit(database).password) not in done.err


def test_what_is_a_files_alone_says_so(on: Callable[..., Any], database: str) -> None:
    assert on("migrate").code == 0
    done = on("backup", "copy.db")
    assert (done.code, "pg_dump" in done.err) == (2, True)
    done = on("demo", "--url", database)
    assert (done.code, "is on a server" in done.err) == (2, True)


@pytest.mark.parametrize("command", [["tasks"], ["worker", "-c", "1"], ["submit", "email:send", '"ann"']])
def test_a_server_that_is_not_there_is_said_in_a_line(on: Callable[..., Any], command: list[str]) -> None:
    done = on(*command, url="postgresql://ann:pw@127.0.0.1:1/shop")
    assert done.code == 4
    assert "error: postgresql://ann:***@127.0.0.1:1/shop" in done.err
    assert "cannot be reached" in done.err
    assert "Traceback" not in done.err


def test_a_worker_works_on_a_server(cli: Cli, on: Callable[..., Any], database: str) -> None:
    worker = cli.start("worker", "-c", "1", DULY_URL=database, DULY_APP="served")
    worker.until("email:send")
    assert on("submit", "email:send", '"ann"', "--wait").out == '"sent to ann"\n'
    assert worker.end().code == 0


def test_who_watches_goes_on_when_the_server_is_back(cli: Cli, own_server: Server) -> None:
    cli.write("served.py", SERVED)
    there = {"DULY_URL": own_server.url(), "DULY_APP": "served"}
    task = cli("submit", "email:send", '"ann"', **there).out.strip()
    watches = cli.start("watch", task, "--jsonl", **there)
    counts = cli.start("stats", "--watch", "--every", "100ms", "--json", **there)
    maps = cli.start("map", "email:send", "--text", stdin=subprocess.PIPE, **there)
    assert maps.process.stdin is not None
    os.write(maps.process.stdin.fileno(), b"bob\n")
    for looking in (watches, counts):
        assert looking.process.stdout is not None
        looking.process.stdout.readline()  # so it has begun
    eventually(lambda: own_server.run("select count(*) from duly.task") == [(2,)])
    own_server.stop()
    os.write(maps.process.stdin.fileno(), b"eve\n")
    for looking in (maps, watches, counts):
        looking.until("trying again")
    assert cli("worker", **there).code == 4, "who begins now has nothing to go on with"
    own_server.start()
    worker = cli.start("worker", "-c", "1", **there)
    assert watches.wait().code == 0
    assert [json.loads(line)["ok"] for line in maps.wait().out.splitlines()] == [True, True]
    counts.until("the store is back")
    assert counts.end(signal.SIGINT).code == 0
    assert counts.err.count("trying again") == 1
    assert worker.end().code == 0
