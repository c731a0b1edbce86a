import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History, Inside

APPS = """
import duly

first = duly.App("sqlite:///first.db")
second = duly.App("sqlite:///second.db")


@first.action("thing:do")
def do(n: int) -> None: ...


def create():
    return first


def create_from(settings):
    return first


def fail():
    raise RuntimeError("no settings")
"""

UNSUITABLE = [
    ("nosuch", "there is no module 'nosuch'"),
    ("apps", "try: -a apps:first or -a apps:second"),
    ("apps:third", "apps has no attribute 'third'"),
    ("apps:create", "-a 'apps:create()'"),
    ("apps:do", "apps:do is no App but of type Action"),
    ("apps:create_from()", "missing 1 required positional argument: 'settings'"),
    ("apps:fail()", "RuntimeError: no settings"),
    ("apps:create().first", "module:attribute or module:function()"),
    ("apps.py", "try: -a apps:app"),
    ("./apps.py:first", "try: -a apps:first"),
    (":first", "bad App ':first'"),
]

BROKEN = [
    ("import nosuchmodule", "No module named 'nosuchmodule'"),
    ("x = = 1", "SyntaxError"),
    ("import sys; sys.exit(3)", "SystemExit: 3"),
    ("raise RuntimeError('boom')", "RuntimeError: boom"),
    ("import duly\nduly.App(poll='never')", "bad poll 'never'"),
]


@pytest.mark.parametrize(("name", "said"), UNSUITABLE)
def test_what_names_no_app_is_wrong_usage_with_a_cure(cli: "Cli", inside: "Inside", name: str, said: str) -> None:
    cli.write("apps.py", APPS)
    done = inside("tasks", "-a", name)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_the_file_of_an_app_that_lies_elsewhere_is_named_with_its_folder(cli: "Cli", inside: "Inside") -> None:
    cli.write("apps.py", APPS)
    (cli.folder / "shops").mkdir()
    (cli.folder / "below").mkdir()
    cli.write("shops/apps.py", APPS)
    assert "\ntry: -a apps:first\n" in inside("tasks", "-a", f"{cli.folder}/apps.py:first").err
    assert "\ntry: -a shops.apps:app\n" in inside("tasks", "-a", f"{cli.folder}/shops/apps.py").err
    done = inside("tasks", "-a", f"{cli.folder}/apps.py:second", folder=cli.folder / "below")
    assert f"\ntry, in {cli.folder}: -a apps:second\n" in done.err


@pytest.mark.parametrize(("text", "said"), BROKEN)
def test_an_app_whose_module_fails_is_told_with_the_users_lines_alone(
    cli: "Cli", inside: "Inside", text: str, said: str
) -> None:
    cli.write("broken.py", text + "\n")
    done = inside("worker", "-a", "broken")
    assert done.code == 2
    assert said in done.err
    assert "broken.py" in done.err
    assert done.err.splitlines()[-1].startswith("error: broken cannot be imported: ")
    assert "importlib" not in done.err


def test_a_factory_makes_the_app(cli: "Cli") -> None:
    cli.write("apps.py", APPS)
    assert cli("submit", "-a", "apps:create()", "thing:do", "1").code == 0
    assert cli("submit", "thing:do", "2", DULY_APP="apps:create()").code == 0
    cli.write("pyproject.toml", '[tool.duly]\napp = "apps:create()"\n')
    assert cli("map", "thing:do", "3", "--work", "-c", "1").code == 0
    assert len(cli("tasks", "--json").data()) == 3
    assert (cli.folder / "first.db").exists()


def test_no_app_at_all_says_where_to_name_one(inside: "Inside") -> None:
    done = inside("worker")
    assert done.code == 2
    for place in ("-a module:attribute", "DULY_APP", "[tool.duly]"):
        assert place in done.err


def test_the_flag_wins_over_the_environment_and_that_over_the_file(cli: "Cli") -> None:
    cli.write("apps.py", APPS)
    cli.write("pyproject.toml", '[tool.duly]\napp = "shop:app"\n')
    assert cli("submit", "email:send", '"ann"').code == 0
    assert cli("submit", "thing:do", "1", DULY_APP="apps:first").code == 0
    assert cli("submit", "-a", "shop", "email:send", '"bob"', DULY_APP="apps:first").code == 0
    assert len(cli("tasks", "--json").data()) == 2


def test_a_url_is_enough_where_only_the_store_is_needed(cli: "Cli") -> None:
    assert cli("submit", "-a", "shop", "email:send", '"ann"').code == 0
    assert len(cli("tasks", "--url", "sqlite:///shop.db", "--json").data()) == 1
    assert len(cli("tasks", "--json", DULY_URL="sqlite:///shop.db").data()) == 1
    cli.write("pyproject.toml", '[tool.duly]\nurl = "sqlite:///shop.db"\n')
    assert len(cli("tasks", "--json").data()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.duly", "pyproject.toml: "),
        ("[tool.duly]\nconcurency = 3\n", "'concurrency' is meant?"),
        ("[tool.duly]\naddons = []\n", "not in this release yet"),
    ],
)
def test_settings_that_cannot_be_read_are_wrong_usage(cli: "Cli", inside: "Inside", text: str, said: str) -> None:
    cli.write("pyproject.toml", text)
    done = inside("tasks")
    assert done.code == 2
    assert said in done.err


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("sqlite:///nosuch.db", 4, "there is no store "),
        ("sqlite:///folder", 4, "is not a file"),
        ("sqlite:///shop.py", 4, "is not an SQLite database"),
        ("sqlite:///another.db", 4, "of another program"),
        ("sqlite:///:memory:", 2, "a store in memory"),
        ("shop.db", 2, "bad url 'shop.db'"),
        ("mysql://host/db", 2, "bad url 'mysql://host/db'"),
    ],
)
def test_a_store_that_cannot_be_used_is_said_in_one_line(cli: "Cli", url: str, code: int, said: str) -> None:
    (cli.folder / "folder").mkdir()
    make_another(cli.folder / "another.db")
    done = cli("tasks", "--url", url)
    assert (done.code, done.out) == (code, "")
    assert said in done.err.splitlines()[0]
    assert "Traceback" not in done.err
    assert not (cli.folder / "nosuch.db").exists()


def make_another(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table invoice (number)")
    connection.close()


@pytest.mark.parametrize(
    ("part", "code", "said"),
    [
        ("abc", 3, "8 or more characters"),
        ("zzzzzzzzzzzz", 3, "there is no task zzzzzzzzzzzz"),
        ("00000000-0000-7000-8000-000000000000", 3, "there is no task 00000000-"),
    ],
)
@pytest.mark.parametrize("command", ["show", "cancel"])
def test_a_task_that_is_not_there_is_exit_3(cli: "Cli", command: str, part: str, code: int, said: str) -> None:
    assert cli("submit", "-a", "shop", "email:send", '"ann"').code == 0
    done = cli(command, "-a", "shop", part)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_a_part_of_an_id_that_fits_several_tasks_lists_them(history: "History") -> None:
    # Ids begin with the time, so of several made at one moment most share their front.
    ((front, several),) = Counter(task_id[:8] for task_id in history.ids.values()).most_common(1)
    done = history.cli("show", "-a", "shop", front)
    assert done.code == 2
    assert f"{front} may be any of {several} tasks" in done.err
    assert set(done.err.splitlines()[1:]) == {task_id for task_id in history.ids.values() if task_id.startswith(front)}
