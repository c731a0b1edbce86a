from __future__ import annotations

from pathlib import Path

import apsw

import duly


def test_the_first_task_of_an_app_can_ring_its_submitter_as_any_later_one(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    app = duly.App(f"sqlite:///{store}")
    for _ in range(2):
        app.submit("mail:send", {})
    app.close()
    connection = apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READONLY)
    first, second = [bell for (bell,) in connection.execute("select bell from task order by key").fetchall()]
    connection.close()
    assert first == second != ""
