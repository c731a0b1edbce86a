"""Which store a url names, as an App has it; and that nobody is told a password."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import duly
from duly import stores
from duly.config import load
from duly.errors import NotAvailable, OptionInvalid, StoreAway, StoreUnavailable
from duly.stores import File, place_of
from tests.engine import errands

if TYPE_CHECKING:
    from tests.server import Postgres, Server

SECONDS = 30

URL = "postgresql://ann:s3cret@localhost:1/shop"


def place(url: str, **settings: object) -> File | stores.Server:
    return place_of(load({"url": url, **settings}, {}))


def test_a_file_is_meant_by_its_absolute_path() -> None:
    assert place("sqlite:///tasks.db") == File(os.path.abspath("tasks.db"))
    assert place("sqlite:////a/b.db").url == "sqlite:////a/b.db"
    assert place("sqlite:///:memory:") == File(":memory:")


@pytest.mark.parametrize("url", ["postgresql://db/shop", "postgres://db/shop", "postgresql:///shop?host=/run/pg"])
def test_a_server_is_meant_by_a_postgresql_url(url: str) -> None:
    assert isinstance(place(url), stores.Server)


def test_a_schema_is_named_by_the_url_or_else_by_the_setting() -> None:
    for given, url, schema in (
        ({}, "postgresql://db/shop", "duly"),
        ({"schema": "mine"}, "postgresql://db/shop", "mine"),
        ({"schema": "mine"}, "postgresql://db/shop?schema=its", "its"),
    ):
        found = place(url, **given)
        assert isinstance(found, stores.Server)
        assert found._schema == schema
    with pytest.raises(OptionInvalid, match="bad schema 'A-B'"):
        place("postgresql://db/shop?schema=A-B")


def test_an_app_on_a_server_is_made_without_a_driver_or_a_connection() -> None:
    code = f"import sys, duly; duly.App({URL!r}); assert not [name for name in sys.modules if 'psycopg' in name]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_its_driver_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError('no pq wrapper available', name='psycopg')")
    code = f"""
import duly
try:
    duly.App({URL!r}).submit("mail:send")
except duly.StoreUnavailable as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert "pip install 'duly[postgres]'" in done.stdout
    assert "no pq wrapper" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_a_password_is_in_nothing_that_is_shown() -> None:
    app = duly.App(URL)
    shown = [repr(app), repr(app.config), repr(app.place), str(app.place), app.place.url, str(app.config)]
    assert all("s3cret" not in text and "ann" in text for text in shown)
    assert app.config.url == URL


@pytest.mark.parametrize("url", ["mysql://ann:s3cret@db/shop", "ann:s3cret@db", "postgres//ann:s3cret@db/shop"])
def test_a_url_that_names_no_store_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(OptionInvalid, match="bad url") as caught:
        duly.App(url)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value, chain=True)).split("OptionInvalid")[-1]


def test_a_store_on_a_server_is_backed_up_by_the_servers_own_tools() -> None:
    app = duly.App(URL + "?schema=mine")
    with pytest.raises(NotAvailable, match=r"pg_dump .*--schema=mine") as caught:
        app.backup("copy.dump")
    assert "s3cret" not in str(caught.value)


def test_moving_an_app_moves_its_place_and_back(tmp_path: Path) -> None:
    app = duly.App(URL)
    with app.moved(f"sqlite:///{tmp_path}/test.db"):
        assert app.submit("mail:send").state == "ready"
        assert app.place == File(f"{tmp_path}/test.db")
    assert isinstance(app.place, stores.Server)


# a server


def test_an_app_on_a_server_does_what_one_on_a_file_does(database: str) -> None:
    with duly.App(f"{database}?schema=tasks", poll=0.05) as app:
        assert not app.place.exists()
        assert [step.applied_at for step in app.migrations()].count(None) > 0
        pid = app.action("errand:pid")(errands.pid)
        assert pid.submit().state == "ready"
        assert app.place.exists()
        assert all(step.applied_at is not None for step in app.migrations())
        with app.worker(1):
            assert pid.submit().result(timeout=SECONDS) != os.getpid()
            ((node, lives),) = app.nodes()
            assert (node.number, lives) == (1, True)
        assert {finding.what for finding in app.examine()} >= {"postgresql", "durable"}
    with duly.App(database, schema="others") as other:
        assert not other.place.exists()


def test_a_backup_of_a_server_names_its_schema(database: str) -> None:
    with pytest.raises(NotAvailable, match="--schema=mine"):
        duly.App(database, schema="mine").backup("copy.dump")


def test_a_dump_of_a_schema_is_a_store_where_it_is_restored(postgres: Postgres, own_server: Server) -> None:
    dump, restored = f"{own_server.folder}/tasks.dump", own_server.create_database()
    with duly.App(own_server.url()) as app:
        known = {app.submit("mail:send", "x" * size).id for size in (1, 200_000)}
        postgres.run("pg_dump", "--format=custom", "--schema=duly", f"--file={dump}", own_server.local_url())
    postgres.run("pg_restore", f"--dbname={own_server.local_url(restored)}", dump)
    with duly.App(own_server.url(restored)) as app:
        assert {task.id for task in app.tasks()} == known
        assert {len(app.look(task_id)[0].payload) for task_id in known} == {3, 200_002}
        pid = app.action("errand:pid")(errands.pid)
        with app.worker(1):
            assert pid.submit().result(timeout=SECONDS) != os.getpid()


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        (":wr0ng@", StoreUnavailable, "cannot be entered"),
        ("/nosuch", StoreUnavailable, "cannot be entered"),
    ],
)
def test_a_server_that_cannot_be_entered_is_said_without_a_password(
    database: str, wrong: str, kind: type[duly.StoreError], says: str
) -> None:
    user, at, place = database.partition("@")
    url = user.rpartition(":")[0] + wrong + place if at in wrong else database.rpartition("/")[0] + wrong
    with duly.App(url) as app, pytest.raises(kind, match=says) as caught:
        app.submit("mail:send")
    assert not isinstance(caught.value, StoreAway)
    secret = user.rpartition(":")[2]
    assert secret not in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_a_server_that_is_not_there_is_away(own_server: Server) -> None:
    url = own_server.url()
    own_server.stop()
    with duly.App(url) as app, pytest.raises(StoreAway, match="cannot be reached"):
        app.submit("mail:send")
