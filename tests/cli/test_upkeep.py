"""`duly backup`, `duly prune` and `duly migrate`."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import duly
from duly.core import keeping
from duly.engine import keeper
from duly.engine.keeper import Tidied
from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History


def test_a_backup_is_a_store(history: "History") -> None:
    cli = history.cli
    done = cli("backup", "-a", "shop", "copy.db", "--force")
    assert (done.code, done.out) == (0, f"{cli.folder}/copy.db\n")
    assert "checked, in" in done.err
    shown = cli("show", "--url", "sqlite:///copy.db", history.ids["sent"], "--json").data()
    assert (shown["state"], shown["value"]) == ("succeeded", "hello, ann")


def test_a_file_that_is_there_is_refused_and_forced(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    cli.write("copy.db", "dear")
    refused = cli("backup", "-a", "shop", "copy.db")
    assert refused.code == 2
    assert "is there already; give another name, or force it" in refused.err
    assert cli("backup", "-a", "shop", "copy.db", "--force", "--quiet").err == ""
    assert len(cli("tasks", "--url", "sqlite:///copy.db", "--json").data()) == 1


def test_on_a_terminal_it_shows_how_far_it_is(history: "History") -> None:
    shown = history.cli.on_terminal("backup", "-a", "shop", "shown.db", "--force")
    assert "━" in shown
    assert "shown.db" in shown


def test_without_a_store_there_is_nothing_to_back_up(cli: "Cli") -> None:
    assert cli("backup", "-a", "shop", "copy.db").code == 4
    assert not (cli.folder / "copy.db").exists()


def test_what_has_ended_long_ago_is_counted_then_removed(cli: "Cli") -> None:
    cli.write("mail.py", "import shop\napp = shop.duly.App('sqlite:///shop.db', keep=0, keep_failed=0)\n")
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h").out.strip()
    cli("submit", "-a", "shop", "email:send", '"bob"', "--delay", "1h")
    cli("cancel", "-a", "shop", task_id)
    assert cli("prune", "-a", "shop").out == "0 tasks emptied, 0 ids removed\n"
    assert cli("prune", "-a", "mail", "--dry-run").out == "1 task would be emptied, 0 ids would be removed\n"
    assert cli("show", "-a", "shop", task_id).code == 0
    assert cli("prune", "-a", "mail").out == "1 task emptied, 0 ids removed\n"
    gone = cli("show", "-a", "shop", task_id)
    assert gone.code == 3
    assert "ended (cancelled), and was removed since" in gone.err
    assert len(cli("tasks", "-a", "shop", "--json").data()) == 1


def test_pruning_comes_to_an_end_where_nothing_is_kept_and_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking at those that wait takes longer than until they are due to be looked at again."""
    monkeypatch.setattr(keeper, "LOOK", 5)
    monkeypatch.setattr(keeping, "SECOND", 1)
    with duly.App(f"sqlite:///{tmp_path}/tasks.db", keep=0, keep_failed=0) as app:
        app.cancel(app.submit("email:send", 0, delay="1h").id)
        for number in range(30):
            app.submit("email:send", number)
        pruned: list[Tidied] = []
        thread = threading.Thread(target=lambda: pruned.append(app.prune()), daemon=True)
        thread.start()
        thread.join(20)
        assert pruned == [(1, 0)]


def test_steps_that_are_to_be_taken_are_shown_and_taken(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"')
    with closing(sqlite3.connect(cli.folder / "shop.db", isolation_level=None)) as older:
        older.execute("drop table keeping")
        older.execute("delete from migration where name = 'keeping'")
    shown = cli("migrate", "-a", "shop", "--dry-run")
    assert shown.out.splitlines()[-1].split() == ["0004", "expand", "keeping", "pending"]
    assert "1 to be taken" in shown.err
    assert cli("migrate", "-a", "shop", "--dry-run", "--json").data()["pending"] == 1
    taken = cli("migrate", "-a", "shop")
    assert "pending" not in taken.out
    again = cli("migrate", "-a", "shop", "--json").data()
    assert again["pending"] == 0
    assert "keeping" in [step["name"] for step in again["steps"]]
    assert "up to date" in cli("migrate", "-a", "shop").err
    assert cli("tasks", "-a", "shop", "--json").data()[0]["state"] == "ready"


def test_a_worker_removes_by_itself_what_its_actions_say(cli: "Cli") -> None:
    cli.write(
        "brief.py",
        """
import duly

app = duly.App("sqlite:///shop.db")


@app.action("email:send", keep=0)
def send(to: str) -> str:
    return to
""",
    )
    cli("submit", "-a", "brief", "email:send", '"ann"')
    worker = cli.start("worker", "-a", "brief", "-c", "1")
    eventually(lambda: cli("tasks", "-a", "brief", "--json").data() == [])
    assert worker.end().code == 0
    said = "email:send: kept for 0s, failed 30d, as its worker said"
    assert said in cli("prune", "-a", "shop").err.splitlines()
    assert cli("prune", "-a", "shop", "--quiet").err == ""
