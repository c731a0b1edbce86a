import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

CAME_TO = {
    "trial:endless": ("failed", "timeout", 1),
    "trial:greedy": ("failed", "memory", 1),
    "trial:deadly": ("failed", "quarantined", 3),
    "trial:flaky": ("succeeded", None, 3),
}


@pytest.fixture
def folder(cli: "Cli") -> Path:
    """A folder of three files, one of which does not parse."""
    folder = cli.folder / "sources"
    (folder / "deep").mkdir(parents=True)
    (folder / "bad.py").write_text("def broken(:\n")
    (folder / "long.py").write_text("def long():\n" + "    pass\n" * 30)
    (folder / "deep" / "short.py").write_text("class A:\n    def short(self): ...\n")
    return folder


def ends(tasks: list[dict[str, Any]]) -> dict[str, tuple[str, str | None, int]]:
    return {task["action"]: (task["state"], task["cause"], task["attempts"]) for task in tasks}


def test_the_demo_proves_its_promises_and_leaves_a_store_to_look_at(cli: "Cli", folder: Path) -> None:
    done = cli("demo", str(folder), "--url", "sqlite:///demo.db", "-c", "2", "--json")
    told = done.data()
    assert (told["ok"], told["tasks"], told["read"], told["left_behind"]) == (True, 7, 2, 0)
    assert told["sizes"] == {"lines": 33, "functions": 2, "classes": 1, "branches": 0}
    assert [(one["lines"], one["file"], one["line"], one["name"]) for one in told["longest"]] == [
        (31, "long.py", 1, "long"),
        (1, "deep/short.py", 2, "A.short"),
    ]
    (refused,) = told["refused"]
    assert (refused["file"], refused["why"]) == ("bad.py", "does not parse at line 1: invalid syntax")
    assert ends(told["trials"]) == CAME_TO
    stored = cli("tasks", "--url", told["url"], "--json").data()
    assert CAME_TO.items() <= ends(stored).items()
    assert "each a task" in done.err
    assert "all 3 files are done" in done.err


def test_people_see_it_live_and_then_what_became_of_it(cli: "Cli", folder: Path) -> None:
    seen = cli.on_terminal("demo", str(folder), "-c", "2", TMPDIR=str(cli.folder), DULY_URL="sqlite:///shop.db")
    live, _, report = seen.partition("what was asked")
    assert "3/3" in live
    assert "trial:endless" in live
    assert report.count("as promised") == 4
    assert "31  long.py:1" in report
    assert "7 tasks in " in report
    url = report.partition("tasks --url ")[2].split()[0]
    assert not (cli.folder / "shop.db").exists()  # which the environment named, for other commands
    assert cli("tasks", "--url", url, "--state", "failed", "--json").data()
    for command in [line.split() for line in report.splitlines() if " show --url " in line]:
        assert cli(*command[-4:]).code == 0


def test_what_should_not_have_become_of_a_file_is_told_and_ends_it_with_1(cli: "Cli", folder: Path) -> None:
    many = "".join(f"def function_with_a_long_name_{number}(): ...\n" for number in range(10))
    (folder / "many.py").write_text(many)
    done = cli("demo", str(folder), "-c", "2", "--url", "sqlite:///demo.db", DULY_MAX_PAYLOAD="300")
    assert done.code == 1
    assert "many.py: failed: invalid, which should not be" in done.out
    assert done.out.count("as promised") == 4


def test_an_interrupt_ends_it_with_130_and_leaves_no_process(cli: "Cli", folder: Path) -> None:
    demo = cli.start("demo", str(folder), "-c", "2", "--url", "sqlite:///demo.db")
    demo.until("all 3 files are done")  # so that the one that never ends runs by now
    started = psutil.Process(demo.process.pid).children(recursive=True)
    assert started
    done = demo.end(signal.SIGINT)
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith("interrupted\n")
    assert "Traceback" not in done.err
    assert not [child for child in started if child.is_running()]


def test_an_interrupt_while_the_worker_starts_is_as_clean(cli: "Cli", folder: Path) -> None:
    demo = cli.start("demo", str(folder), "--url", "sqlite:///demo.db")
    demo.until("the store: ")
    done = demo.end(signal.SIGINT)
    assert done.code == 130
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nosuch"], 2, "'nosuch' does not exist"),
        (["shop.py"], 2, "'shop.py' is a file"),
        (["empty"], 2, "there are no Python files in "),
        (["sources", "--url", "sqlite:///shop.db"], 2, "shop.db is there already"),
        (["sources", "--url", "sqlite:///:memory:"], 2, "a store in memory"),
        (["sources", "--url", "shop.db"], 2, "bad url"),
        (["sources", "--url", "sqlite:///nosuch/shop.db"], 4, "there is no folder"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_shown_is_said_and_nothing_is_touched(
    cli: "Cli", arguments: list[str], code: int, said: str
) -> None:
    (cli.folder / "empty").mkdir()
    cli.write("shop.db", "somebody's")
    done = cli("demo", *arguments)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert (cli.folder / "shop.db").read_text() == "somebody's"
