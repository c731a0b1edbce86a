from __future__ import annotations

import re
import sys
from pathlib import Path

import apsw
import msgspec
import pytest

from duly.core.task import Change
from duly.errors import StoreError
from duly.store import migrations, queries
from duly.store.migrations import Migration
from duly.store.sqlite.connection import migrate
from duly.store.sqlite.file import PACKAGE, STRUCTS


class Pair(msgspec.Struct, array_like=True):
    one: int
    other: int


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of its own, to be filled."""
    made = tmp_path / "queries_of_a_test"
    for folder in (made, made / "sql", made / "migrations"):
        folder.mkdir()
    (made / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, made.name, raising=False)
    return made


def test_a_query_is_named_after_its_file(package: Path) -> None:
    (package / "sql" / "one.sql").write_text("select 1")
    (package / "sql" / "notes.txt").write_text("not a query")
    assert queries.load(package.name, {}) == {"one": "select 1"}


def test_a_field_becomes_its_place(package: Path) -> None:
    (package / "sql" / "one.sql").write_text("-- rows: Pair\nselect v ->> @other, v ->> @one")
    assert queries.load(package.name, {"Pair": Pair})["one"].endswith("select v ->> 1, v ->> 0")


def test_a_field_that_is_read_as_a_value_is_extracted(package: Path) -> None:
    (package / "sql" / "one.sql").write_text("-- rows: Pair\nselect v.value ->> @other, v.value -> @one")
    sql = queries.load(package.name, {"Pair": Pair})["one"]
    assert sql.endswith("select json_extract(v.value, '$[1]'), v.value -> 0")


def test_a_field_that_is_not_there_is_no_query(package: Path) -> None:
    (package / "sql" / "one.sql").write_text("-- rows: Pair\nselect v ->> @gone")
    with pytest.raises(KeyError, match="gone"):
        queries.load(package.name, {"Pair": Pair})


def test_every_query_of_sqlite_fits_its_schema() -> None:
    connection = apsw.Connection(":memory:")
    for step in migrations.load(PACKAGE):
        connection.execute(step.sql)
    for name, sql in queries.load(PACKAGE, STRUCTS).items():
        assert sql.startswith("-- "), f"{name} says nothing of itself"
        assert "@" not in sql, f"{name} names a field of no struct"
        connection.execute("explain " + sql, _unbound(sql))


def _unbound(sql: str) -> dict[str, None]:
    return dict.fromkeys(re.findall(r":(\w+)", sql))


def test_claims_and_dates_are_found_by_indexes_alone() -> None:
    connection = apsw.Connection(":memory:")
    for step in migrations.load(PACKAGE):
        connection.execute(step.sql)
    sql = queries.load(PACKAGE, STRUCTS)
    for name, index in (
        ("choose", "COVERING INDEX task_ready"),
        ("choose_suspect", "INDEX task_suspect"),
        ("choose_cleanup", "INDEX task_cleanup"),
        ("due", "INDEX task_scheduled"),
        ("look", "INDEX task_scheduled"),
        ("look", "INDEX task_asked"),
        ("look", "INDEX task_suspect"),
        ("held", "INDEX task_running"),
        ("tasks_date", "INDEX task_dated"),
        ("find", "INDEX sqlite_autoindex_task_1"),
    ):
        plan = [row[3] for row in connection.execute("explain query plan " + sql[name], _unbound(sql[name]))]
        assert any(index in str(step) for step in plan), (name, plan)
        assert not any(str(step).startswith("SCAN task") and "INDEX" not in str(step) for step in plan), (name, plan)


# migrations
def test_steps_are_read_in_order_with_their_kind(package: Path) -> None:
    for name in ("0010_contract_less", "0002_expand_more", "0001_expand_first"):
        (package / "migrations" / f"{name}.sql").write_text(name)
    (package / "migrations" / "readme.sql").write_text("not a step")
    steps = migrations.load(package.name)
    assert [(step.number, step.kind, step.name) for step in steps] == [
        (1, "expand", "first"),
        (2, "expand", "more"),
        (10, "contract", "less"),
    ]


def test_only_new_steps_are_taken_and_all_or_none() -> None:
    connection = apsw.Connection(":memory:")
    first = migrations.load(PACKAGE)[:1]
    good = Migration(2, "expand", "ok", "create table ok (x text)")
    migrate(connection, "x", first, 5)
    with pytest.raises(StoreError, match="missing datatype"):
        migrate(connection, "x", [*first, good, Migration(3, "expand", "bad", "create table bad (x) strict")], 6)
    assert connection.execute("select number, applied_at from migration").fetchall() == [(1, 5)]
    assert not connection.execute("select 1 from sqlite_schema where name = 'ok'").fetchall()
    assert not connection.in_transaction
    migrate(connection, "x", [*first, good], 7)
    assert connection.execute("select number, applied_at from migration").fetchall() == [(1, 5), (2, 7)]


def test_a_change_goes_as_the_statement_reads_it() -> None:
    assert STRUCTS["Change"] is Change
    sql = queries.load(PACKAGE, STRUCTS)["change"]
    assert f"json_extract(c.value, '$[{Change.__struct_fields__.index('owed')}]')" in sql
