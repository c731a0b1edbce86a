from __future__ import annotations

import os
import resource
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from duly.errors import OptionInvalid, StoreDamaged, StoreFull, StoreUnavailable
from duly.ports import Request
from duly.store.sqlite import backup
from duly.store.sqlite.backup import Copy
from duly.store.sqlite.store import SqliteStore
from tests.engine.making import lane_of, submission
from tests.helpers import eventually


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore(str(tmp_path / "tasks.db"))
    store.open()
    yield store
    store.close()


@pytest.fixture(autouse=True)
def steps_of_a_few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup, "PAGES", 5)


def fill(store: SqliteStore, first: int = 0, most: int = 500) -> None:
    lane = lane_of(store)
    store.exchange(Request(submits=[submission(f"task-{number}", lane) for number in range(first, first + most)]))


def ids(path: Path) -> list[int]:
    copied = SqliteStore(str(path))
    copied.open()
    with closing(copied):
        assert all(finding.ok for finding in copied.examine())
        connection = copied._connection
        assert connection is not None
        return sorted(int(str(one).removeprefix("task-")) for (one,) in connection.execute("select id from task"))


def finished(copy: Copy) -> int:
    """Copy all of it, and return in how many steps."""
    steps = 0
    with closing(copy):
        while copy.step():
            steps += 1
        copy.finish()
    return steps


def test_it_is_the_store_as_of_the_moment_at_which_it_began_though_others_write(
    store: SqliteStore, tmp_path: Path
) -> None:
    fill(store)
    copy = Copy(store.path, str(tmp_path / "copy.db"))
    over = threading.Event()
    written = []

    def write() -> None:
        with closing(SqliteStore(store.path)) as other:
            other.open()
            while not over.is_set():
                fill(other, 10_000 + len(written), 1)
                written.append(1)

    with closing(copy):
        first = copy.step()
        assert first is not None
        writer = threading.Thread(target=write)
        writer.start()
        try:
            steps = 1
            while (copied := copy.step()) is not None:
                steps += 1
                assert copied.of == first.of, "it began anew"
                before = len(written)
                eventually(lambda before=before: len(written) > before)  # type: ignore[misc]
            copy.finish()
        finally:
            over.set()
            writer.join()
    assert steps > 5
    assert ids(tmp_path / "copy.db") == list(range(500))


def test_it_is_one_file_for_its_owner_alone(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    place = tmp_path / "copies"
    place.mkdir()
    finished(Copy(store.path, str(place / "copy.db")))
    assert os.listdir(place) == ["copy.db"]
    assert stat.S_IMODE((place / "copy.db").stat().st_mode) == 0o600


def test_no_node_of_the_copy_is_one_that_lives(store: SqliteStore, tmp_path: Path) -> None:
    number = store.enlist("its-processes-carry-this", "its-bell", "host:1")
    finished(Copy(store.path, str(tmp_path / "copy.db")))
    with closing(SqliteStore(str(tmp_path / "copy.db"))) as copied:
        copied.open()
        (node,) = copied.dead()
        assert (node.number, node.label, node.bell) == (number, "host:1", "")
        assert node.name != "its-processes-carry-this"
        assert copied.enlist("new", "", "") > number
    assert store.dead() == []


def test_what_is_there_is_replaced_only_by_force(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    place = tmp_path / "copy.db"
    place.write_text("dear")
    with pytest.raises(OptionInvalid, match="is there already"):
        Copy(store.path, str(place))
    assert place.read_text() == "dear"
    finished(Copy(store.path, str(place), force=True))
    assert ids(place) == list(range(500))


def test_what_comes_there_meanwhile_is_left_alone(store: SqliteStore, tmp_path: Path) -> None:
    place = tmp_path / "copy.db"
    copy = Copy(store.path, str(place))
    with closing(copy):
        while copy.step():
            pass
        place.write_text("dear")
        with pytest.raises(OptionInvalid, match="is there already"):
            copy.finish()
    assert place.read_text() == "dear"
    assert not list(tmp_path.glob("*.part*"))


@pytest.mark.parametrize("force", [False, True])
def test_a_store_is_not_copied_upon_itself(store: SqliteStore, tmp_path: Path, force: bool) -> None:
    (tmp_path / "link.db").symlink_to(store.path)
    beside = [store.path + end for end in ("-wal", "-shm", "-duly", "-journal")]
    for place in (store.path, *beside, str(tmp_path / "link.db")):
        with pytest.raises(OptionInvalid, match="is the store itself"):
            Copy(store.path, place, force=force)


def test_what_cannot_be_is_refused(store: SqliteStore, tmp_path: Path) -> None:
    with pytest.raises(OptionInvalid, match="in memory"):
        Copy(":memory:", str(tmp_path / "copy.db"))
    with pytest.raises(StoreUnavailable, match="there is no store"):
        Copy(str(tmp_path / "none.db"), str(tmp_path / "copy.db"))
    with pytest.raises(StoreUnavailable, match="cannot be written: No such file"):
        finished(Copy(store.path, str(tmp_path / "none" / "copy.db")))
    for nameless in ("", "-"):
        with pytest.raises(OptionInvalid, match="it is a file, give its name"):
            Copy(store.path, nameless)


@pytest.mark.parametrize("force", [False, True])
def test_only_a_regular_file_is_replaced(store: SqliteStore, tmp_path: Path, force: bool) -> None:
    os.mkfifo(tmp_path / "fifo")
    for place in (str(tmp_path), str(tmp_path / "fifo"), os.devnull):
        with pytest.raises(OptionInvalid, match="is not a regular file"):
            Copy(store.path, place, force=force)


@pytest.mark.parametrize("end", ["-wal", "-journal"])
@pytest.mark.parametrize("force", [False, True])
def test_it_is_not_put_beside_the_log_of_another(store: SqliteStore, tmp_path: Path, force: bool, end: str) -> None:
    """SQLite would replay that log over the copy."""
    place = tmp_path / "copy.db"
    log = tmp_path / f"copy.db{end}"
    log.write_text("dear")
    with pytest.raises(OptionInvalid, match=f"{end}: is there, so .* is in use"):
        Copy(store.path, str(place), force=force)
    log.unlink()
    with closing(Copy(store.path, str(place), force=force)) as copy:
        while copy.step():
            pass
        log.write_text("dear")
        with pytest.raises(OptionInvalid, match=f"{end}: is there, so .* is in use"):
            copy.finish()
    assert not place.exists()
    assert log.read_text() == "dear"
    assert not list(tmp_path.glob("*.part*"))


def test_one_that_is_given_up_leaves_nothing(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    with closing(Copy(store.path, str(tmp_path / "copy.db"))) as copy:
        copy.step()
        assert list(tmp_path.glob("*.part*"))
    assert not list(tmp_path.glob("copy.db*"))


def test_a_copy_of_a_damaged_store_is_none(store: SqliteStore, tmp_path: Path) -> None:
    fill(store, 0, 2_000)
    store.close()
    with open(store.path, "r+b") as file:
        file.seek(4096 * 30)
        file.write(b"rubbish" * 500)
    with pytest.raises(StoreDamaged):
        finished(Copy(store.path, str(tmp_path / "copy.db")))
    assert not list(tmp_path.glob("copy.db*"))


def test_where_there_is_no_room_for_it_that_is_told(store: SqliteStore, tmp_path: Path) -> None:
    fill(store, 0, 5_000)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    copy = Copy(store.path, str(tmp_path / "copy.db"))
    with closing(copy):
        copy.step()
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            with pytest.raises(StoreFull, match=r"^no space left at .*copy\.db; make room there"):
                finished(copy)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("copy.db*"))


def test_after_a_fork_it_begins_anew(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    with closing(Copy(store.path, str(tmp_path / "copy.db"))) as copy:
        copy.step()
        copy.before_fork()
        assert copy._source is None
        copy.after_fork()
        fill(store, 500, 100)
        while copy.step():
            pass
        copy.finish()
    assert ids(tmp_path / "copy.db") == list(range(600))


def test_after_a_fork_before_its_end_it_begins_anew_too(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    with closing(Copy(store.path, str(tmp_path / "copy.db"))) as copy:
        while copy.step():
            pass
        copy.before_fork()
        copy.after_fork()
        fill(store, 500, 100)
        copy.finish()
    assert ids(tmp_path / "copy.db") == list(range(600))


def test_a_fork_waits_while_it_is_checked(store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(store)
    checked = threading.Event()
    to_disk = backup._bring_to_disk
    with closing(Copy(store.path, str(tmp_path / "copy.db"))) as copy:
        at_rest: list[bool] = []

        def rest() -> None:
            copy.before_fork()
            at_rest.append(checked.is_set())
            copy.after_fork()

        fork = threading.Thread(target=rest)

        def bring(path: str) -> None:
            if not checked.is_set():
                fork.start()
                fork.join(0.1)
                checked.set()
            to_disk(path)

        monkeypatch.setattr(backup, "_bring_to_disk", bring)
        while copy.step():
            pass
        copy.finish()
        fork.join()
    assert at_rest == [True]
    assert ids(tmp_path / "copy.db") == list(range(500))


def test_what_the_old_copy_was_is_there_until_the_new_one_is_whole(store: SqliteStore, tmp_path: Path) -> None:
    fill(store)
    place = tmp_path / "copy.db"
    finished(Copy(store.path, str(place)))
    fill(store, 500, 100)
    with closing(Copy(store.path, str(place), force=True)) as copy:
        while copy.step():
            assert apsw.Connection(str(place)).execute("select count(*) from task").fetchall() == [(500,)]
    assert ids(place) == list(range(500))
