"""Which store a url names, as an App has it; and that nobody is told a password."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import duly
from duly.config import load
from duly.errors import NotAvailable, OptionInvalid
from duly.stores import File, Server, place_of

URL = "postgresql://ann:s3cret@localhost:1/shop"


def place(url: str, **settings: object) -> File | Server:
    return place_of(load({"url": url, **settings}, {}))


def test_a_file_is_meant_by_its_absolute_path() -> None:
    assert place("sqlite:///tasks.db") == File(os.path.abspath("tasks.db"))
    assert place("sqlite:////a/b.db").url == "sqlite:////a/b.db"
    assert place("sqlite:///:memory:") == File(":memory:")


@pytest.mark.parametrize("url", ["postgresql://db/shop", "postgres://db/shop", "postgresql:///shop?host=/run/pg"])
def test_a_server_is_meant_by_a_postgresql_url(url: str) -> None:
    assert isinstance(place(url), Server)


def test_a_schema_is_named_by_the_url_or_else_by_the_setting() -> None:
    for given, url, schema in (
        ({}, "postgresql://db/shop", "duly"),
        ({"schema": "mine"}, "postgresql://db/shop", "mine"),
        ({"schema": "mine"}, "postgresql://db/shop?schema=its", "its"),
    ):
        found = place(url, **given)
        assert isinstance(found, Server)
        assert found._schema == schema
    with pytest.raises(OptionInvalid, match="bad schema 'A-B'"):
        place("postgresql://db/shop?schema=A-B")


def test_an_app_on_a_server_is_made_without_a_driver_or_a_connection() -> None:
    code = f"import sys, duly; duly.App({URL!r}); assert not [name for name in sys.modules if 'psycopg' in name]"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


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
    assert isinstance(app.place, Server)
