from pathlib import Path

from duly.store.sqlite.store import SqliteStore


def test_what_another_connection_wrote_is_noticed_by_asking_for_the_version_alone(tmp_path: Path) -> None:
    one, other = SqliteStore(str(tmp_path / "tasks.db")), SqliteStore(str(tmp_path / "tasks.db"))
    one.open()
    other.open()
    before = one.version()
    assert one.version() == before

    other.lanes([("default", "email:send", 1)])

    assert one.version() != before
    one.close()
    other.close()
