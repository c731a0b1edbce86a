"""A newer duly changes a server's store while an older one, which is this one, works on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import psycopg
import pytest

import duly
from duly.core.urls import on_server
from duly.store import migrations
from duly.store.migrations import Migration
from duly.store.postgres import schema
from duly.store.postgres.address import address_of
from duly.store.postgres.connection import connect
from tests.faults.checker import check
from tests.faults.killer import Killer
from tests.faults.load import Load
from tests.faults.run import Run
from tests.helpers import eventually
from tests.place import ON_BOTH, Place

MORE = """
alter table {schema}.task add column colour text not null default 'none';
alter table {schema}.ended add column colour text not null default 'none';
alter table {schema}.event add column shade integer;
alter table {schema}.node add column height integer not null default 1;
create table {schema}.paint (task bigint primary key);
create index task_colour on {schema}.task (colour);
"""
EXPAND = Migration(9_001, "expand", "more", MORE)
CONTRACT = Migration(9_002, "contract", "less", "drop table {schema}.paint")


def migrate(place: Place, *steps: Migration) -> None:
    """Take steps as a newer duly does."""
    address = address_of(place.url, "duly")
    with closing(connect(address)) as connection:
        schema.migrate(connection, address, [*migrations.load(schema.PACKAGE), *steps])


def contract(place: Place) -> None:
    """The same in short, for either kind of store."""
    step = "insert into {}migration values (9002, 'contract', 'less', 0)"
    if on_server(place.url):
        with psycopg.connect(place.url, autocommit=True) as connection:
            connection.execute(step.format("duly.").encode())
    else:
        with closing(sqlite3.connect(place.folder / "duly.db", isolation_level=None)) as file:
            file.execute(step.format(""))


def end_sessions(place: Place) -> None:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_an_older_worker_goes_on_after_a_newer_expansion_and_refuses_a_newer_contraction(
    run: Run, place: Place, killer: Killer
) -> None:
    killer.start(1)
    with Load(place, run) as load:
        for change in (lambda: migrate(place, EXPAND), lambda: end_sessions(place), lambda: killer.start(1)):
            done = len(load.ids)
            eventually(lambda done=done: len(load.ids) > done + 50)
            change()
        done = len(load.ids)
        eventually(lambda: len(load.ids) > done + 50)
        load.settle()
        assert set(killer.stop_all()) == {0}, place.said()
    check(place, load.ids)
    assert {task.state for task in place.app.tasks()} == {"succeeded"}
    assert "ERROR" not in place.said()

    migrate(place, EXPAND, CONTRACT)
    refused = place.launch()
    assert refused.wait(30) != 0
    assert "was changed by a newer duly (9002_less); install that one here" in place.said()
    assert not [node for node, lives in place.app.nodes() if lives], "it has begun"
    with duly.App(place.url) as app, pytest.raises(duly.StoreTooNew, match="9002_less"):
        app.submit("faults:work", {"seconds": 0})


@ON_BOTH
def test_a_contraction_while_it_works_ends_a_worker(place: Place) -> None:
    worker = place.start()
    contract(place)
    assert worker.wait(30) == 4
    assert "was changed by a newer duly (9002_less); install that one here" in place.said()
    assert "Traceback" not in place.said()
