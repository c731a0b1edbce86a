"""`duly copy`."""

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import duly
from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Inside

NEW = "sqlite:///new.db"


def test_a_store_moves_and_tells_where_it_went(cli: "Cli") -> None:
    waits = cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h").out.strip()
    dry = cli("copy", "-a", "shop", "--to", NEW, "--dry-run")
    assert dry.code == 0
    assert f"nothing stands against moving that to sqlite:///{cli.folder}/new.db" in dry.err
    assert not (cli.folder / "new.db").exists()
    done = cli("copy", "-a", "shop", "--to", NEW)
    assert (done.code, done.out) == (0, dry.out)
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["lanes", "1"], ["pauses", "0"], ["keeping", "0"], ["nodes", "0"], ["tasks", "1"], ["events", "0"]
    ]  # fmt: skip
    assert "and compared, in" in done.err
    assert cli("show", "--url", NEW, waits, "--json").data()["state"] == "scheduled"
    for refused in (
        ("submit", "-a", "shop", "email:send", '"bob"'),
        ("cancel", "-a", "shop", waits),
        ("worker", "-a", "shop"),
    ):
        moved = cli(*refused)
        assert moved.code == 4
        assert f"was moved to sqlite:///{cli.folder}/new.db: use that" in moved.err
    assert "it was moved to" in cli("doctor", "--url", "sqlite:///shop.db").out
    assert cli("copy", "-a", "shop", "--to", "sqlite:///third.db").code == 4
    assert "open again" in cli("copy", "-a", "shop", "--reopen").err
    assert cli("cancel", "-a", "shop", waits).code == 0


def test_a_store_at_work_does_not_move(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    with duly.App(f"sqlite:///{cli.folder}/shop.db") as app:
        eventually(app.nodes)
    for more in ([], ["--dry-run"]):
        refused = cli("copy", "-a", "shop", "--to", NEW, *more)
        assert refused.code == 4
        assert "works on it: end that first" in refused.err
    assert not (cli.folder / "new.db").exists()
    assert worker.end().code == 0


def test_a_store_that_is_used_is_no_target(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h")
    cli("copy", "-a", "shop", "--to", NEW)
    cli("copy", "-a", "shop", "--reopen")
    for more in ([], ["--dry-run"]):
        refused = cli("copy", "-a", "shop", "--to", NEW, *more)
        assert refused.code == 2
        assert "new.db: has lanes already; name an empty store" in refused.err


def test_who_opens_the_store_again_meanwhile_is_told_that_the_copy_is_in_vain(cli: "Cli") -> None:
    with duly.App(f"sqlite:///{cli.folder}/shop.db") as app:
        app.submit_many(app.passport("email:send", "ann") for _ in range(5_000))
        copying = cli.start("copy", "-a", "shop", "--to", NEW)
        new = cli.folder / "new.db"
        with closing(sqlite3.connect(eventually(new.exists) and new, isolation_level=None, timeout=20)) as connection:
            eventually(lambda: holds_up(connection))
            assert app.reopen()
            connection.execute("rollback")
        done = copying.wait()
        assert done.code == 4
        assert "was opened again while it was copied" in done.err
        assert "the same command goes on" not in done.err
        assert app.submit("email:send", "bob").state == "ready"


def test_who_interrupts_it_is_told_how_it_goes_on(cli: "Cli") -> None:
    with duly.App(f"sqlite:///{cli.folder}/shop.db") as app:
        app.submit_many(app.passport("email:send", "ann") for _ in range(5_000))
    copying = cli.start("copy", "-a", "shop", "--to", NEW)
    new = cli.folder / "new.db"
    with closing(sqlite3.connect(eventually(new.exists) and new, isolation_level=None, timeout=20)) as connection:
        eventually(lambda: holds_up(connection))
        copying.process.send_signal(signal.SIGINT)
        connection.execute("rollback")
    done = copying.wait()
    assert done.code == 130
    assert "both stores stay closed: the same command goes on" in done.err
    assert cli("submit", "-a", "shop", "email:send", '"bob"').code == 4
    assert cli("submit", "--url", NEW, "--elsewhere", "email:send", '"bob"').code == 4
    assert cli("copy", "-a", "shop", "--to", NEW, "--json").data()["resumed"]
    assert cli("submit", "--url", NEW, "--elsewhere", "email:send", '"bob"').code == 0


def holds_up(connection: sqlite3.Connection) -> bool:
    """Whether some tasks have come, and no more do until this lets go."""
    connection.execute("begin immediate")
    try:
        ((tasks,),) = connection.execute("select count(*) from task").fetchall()
    except sqlite3.OperationalError:  # not even the tables are there
        tasks = 0
    if tasks == 0:
        connection.execute("rollback")
    return bool(tasks)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "say either --to URL, or --reopen alone"),
        (["--to", NEW, "--reopen"], "say either --to URL, or --reopen alone"),
        (["--reopen", "--dry-run"], "say either --to URL, or --reopen alone"),
        (["--to", "sqlite:///shop.db"], "is the store itself; name another one"),
        (["--to", "sqlite:///:memory:"], "a store in memory ends with its process"),
        (["--to", "new.db"], "bad url 'new.db'"),
    ],
)
def test_what_cannot_be_meant_is_refused(inside: "Inside", tmp_path: Path, arguments: list[str], told: str) -> None:
    inside("submit", "-a", "shop", "email:send", '"ann"')
    refused = inside("copy", "-a", "shop", *arguments)
    assert (refused.code, told in refused.err) == (2, True), refused.err
    assert inside("copy", "-a", "shop", "--reopen").err == "it was not closed\n"


def test_where_there_is_no_store_nothing_moves(inside: "Inside", tmp_path: Path) -> None:
    assert inside("copy", "-a", "shop", "--to", NEW).code == 4
    assert not (tmp_path / "new.db").exists()


def test_on_a_terminal_it_shows_how_far_it_is(cli: "Cli") -> None:
    cli("submit", "-a", "shop", "email:send", '"ann"', "--delay", "1h")
    shown = cli.on_terminal("copy", "-a", "shop", "--to", NEW)
    assert "copied" in shown
    assert "compared" in shown
