"""What can be wrong with a file is said in an error of its own kind, with its name and a cure; nothing is changed."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from duly.errors import (
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreTooNew,
    StoreUnavailable,
)
from duly.ports import Request
from duly.store.sqlite import connection
from duly.store.sqlite.connection import is_safe
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands


def fails(file: object, kind: type[StoreError]) -> str:
    store = SqliteStore(str(file))
    with pytest.raises(kind) as caught:
        store.open()
    assert type(caught.value) is kind
    store.close()
    return str(caught.value)


def made(file: Path, tasks: int = 0) -> Path:
    store = SqliteStore(str(file))
    store.open()
    hands = Hands(store)
    store.exchange(Request(submits=[hands.submission() for _ in range(tasks)]))
    store.close()
    return file


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    made(tmp_path / "tasks.db", tasks=1)
    assert {file.name: oct(file.stat().st_mode & 0o777) for file in tmp_path.iterdir()} == {
        "tasks.db": "0o600",
        "tasks.db-duly": "0o600",
    }


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").touch()
    made(tmp_path / "tasks.db", tasks=1)


def test_where_a_setting_that_promises_rest_on_is_refused_nothing_is_stored(tmp_path: Path) -> None:
    usual = apsw.vfs_names()[0]
    apsw.set_default_vfs("unix-none")  # it has no shared memory, and so no write-ahead log
    try:
        said = fails(tmp_path / "tasks.db", StoreUnavailable)
    finally:
        apsw.set_default_vfs(usual)
    assert "refuses journal_mode = wal" in said


def test_settings_that_promises_rest_on_are_in_force(store: SqliteStore) -> None:
    assert store._connection is not None
    found = {name: store._connection.execute(f"pragma {name}").fetchone() for name in connection._PRAGMAS}
    assert found == {name: (value,) for name, value in connection._PRAGMAS.items()}
    assert (found["journal_mode"], found["synchronous"]) == (("wal",), (2,))


@pytest.mark.parametrize("name", ["with space", "ünï☂", "100%20?mode=ro#x", "file:tasks", "quote'\"", ":memory: "])
def test_a_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    file = made(tmp_path / name, tasks=1)
    assert sorted(os.listdir(tmp_path)) == sorted([name, f"{name}-duly"])
    store = SqliteStore(str(file))
    store.open()
    assert len(Hands(store).claim()) == 1
    store.close()


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    assert "UTF-8" in fails(os.fsdecode(bytes(tmp_path) + b"/\xff.db"), StoreUnavailable)
    assert os.listdir(tmp_path) == []


def test_processes_that_come_by_a_link_meet_at_one_side_file(tmp_path: Path) -> None:
    file, link = tmp_path / "tasks.db", tmp_path / "link.db"
    link.symlink_to(file)
    one, other = SqliteStore(str(link)), SqliteStore(str(file))
    one.open()  # through a link to what is not there yet
    other.open()
    assert one._lockfile is other._lockfile
    one.close()
    other.close()
    assert sorted(os.listdir(tmp_path)) == ["link.db", "tasks.db", "tasks.db-duly"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"no folder {tmp_path / 'gone'}" in fails(tmp_path / "gone" / "tasks.db", StoreUnavailable)


def test_a_folder_or_a_pipe_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for file in (tmp_path, tmp_path / "pipe"):
        assert "is not a file" in fails(file, StoreForeign)


@pytest.mark.parametrize("content", [b"xyz", b"not a database, " * 500, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    fails(file, StoreForeign)
    assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("statement", ["create table contact (name text)", "pragma application_id = 77"])
def test_a_database_of_another_program_is_left_as_it_is(statement: str, tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    other = sqlite3.connect(file)
    other.execute(statement)
    other.close()
    content = file.read_bytes()
    assert "another program" in fails(file, StoreForeign)
    assert file.read_bytes() == content
    assert os.listdir(tmp_path) == ["other.db"]


def test_what_a_newer_duly_has_taken_away_is_not_worked_with(tmp_path: Path) -> None:
    file = made(tmp_path / "tasks.db")
    newer = sqlite3.connect(file)
    newer.execute("insert into migration values (9001, 'expand', 'more', 1)")
    newer.commit()
    made(file, tasks=1)  # what only adds is no hindrance
    newer.execute("insert into migration values (9002, 'contract', 'less', 1)")
    newer.commit()
    newer.close()
    assert "9002_less" in fails(file, StoreTooNew)


def test_a_truncated_file_is_damaged(tmp_path: Path) -> None:
    file = made(tmp_path / "tasks.db", tasks=2_000)
    os.truncate(file, 20_000)
    assert ".recover" in fails(file, StoreDamaged)


def test_a_file_that_is_damaged_inside_is_found_so(tmp_path: Path) -> None:
    file = made(tmp_path / "tasks.db", tasks=2_000)
    content = bytearray(file.read_bytes())
    for page in range(32, len(content) // 4096):
        content[page * 4096 : page * 4096 + 64] = b"\xff" * 64
    file.write_bytes(content)
    store = SqliteStore(str(file))
    store.open()
    with pytest.raises(StoreDamaged):
        Hands(store).claim(2_000)
    assert not all(finding.ok for finding in store.examine())
    store.close()


def test_a_disk_that_is_full_loses_nothing_and_work_goes_on_when_there_is_room(store: SqliteStore) -> None:
    hands = Hands(store)
    kept = hands.submit()
    assert store._connection is not None
    ((pages,),) = store._connection.execute("pragma page_count").fetchall()
    store._connection.execute(f"pragma max_page_count = {pages}")
    much = [hands.submission(payload='"' + "x" * 10_000 + '"') for _ in range(50)]
    with pytest.raises(StoreFull, match="make room"):
        store.exchange(Request(submits=much))
    assert [row.id for row in store.find([kept, *(submission.id for submission in much)])] == [kept]
    store._connection.execute("pragma max_page_count = 1000000")
    assert set(store.exchange(Request(submits=much)).submitted.values()) == {"created"}


def test_a_file_that_may_not_be_written_is_read_only(folder: Path, error_without_rights: Callable[[Path], str]) -> None:
    file = made(folder / "tasks.db")
    file.chmod(0o444)
    assert error_without_rights(file).startswith("StoreReadOnly ")


def test_a_file_that_may_not_be_read_is_refused(folder: Path, error_without_rights: Callable[[Path], str]) -> None:
    file = made(folder / "tasks.db")
    file.chmod(0o000)
    assert error_without_rights(file).startswith("StoreReadOnly ")


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_that_may_not_be_written_is_read_only(
    there: bool, folder: Path, error_without_rights: Callable[[Path], str]
) -> None:
    file = folder / "tasks.db"
    if there:
        made(file).chmod(0o666)
    folder.chmod(0o555)
    assert error_without_rights(file).startswith("StoreReadOnly ")


def test_a_side_file_that_cannot_be_used_is_named(folder: Path, error_without_rights: Callable[[Path], str]) -> None:
    file = made(folder / "tasks.db")
    file.chmod(0o666)
    (folder / "tasks.db-duly").chmod(0o000)
    said = error_without_rights(file)
    assert said.startswith("StoreUnavailable ")
    assert f"{file}-duly: Permission denied" in said


@pytest.mark.parametrize("suffix", ["", "-duly"])
def test_a_disk_without_room_for_a_new_file_is_full(suffix: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = os.open

    def refuse(file: str, *arguments: int) -> int:
        if file == path + suffix:
            raise OSError(errno.ENOSPC, "No space left on device")
        return really_open(file, *arguments)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StoreFull, match=f"{path}{suffix}: no space left on the disk; make room"):
        SqliteStore(path).open()


def test_a_sqlite_that_can_corrupt_files_is_refused(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apsw, "SQLITE_VERSION_NUMBER", 3_050_006)
    assert "WAL-reset bug" in fails(path, StoreUnavailable)
    assert not os.path.exists(path)


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        (3_007_000, False),
        (3_044_005, False),
        (3_044_006, True),
        (3_045_003, False),
        (3_050_006, False),
        (3_050_007, True),
        (3_051_002, False),
        (3_051_003, True),
        (3_052_000, True),
        (4_000_000, True),
    ],
)
def test_versions_with_the_wal_reset_bug_are_known(version: int, safe: bool) -> None:
    assert is_safe(version) is safe


def test_closing_twice_is_no_error(path: str) -> None:
    store = SqliteStore(path)
    store.close()
    store.open()
    store.close()
    store.close()
