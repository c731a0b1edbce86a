import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Running

APP = """
import duly

import words.greeting

app = duly.App("sqlite:///reload.db", drain_timeout=20)


@app.action("word:say")
def say(name: str) -> str:
    return words.greeting.greet(name)


@app.action("word:stall")
def stall(path: str) -> None:
    import os, threading

    print("begun")
    while not os.path.exists(path):
        threading.Event().wait(0.01)
"""

GREETING = """
def greet(name):
    return {greeting!r} + " " + name
"""


@pytest.fixture
def worker(cli: "Cli") -> "Iterator[Running]":
    (cli.folder / "words").mkdir()
    cli.write("words/__init__.py", "")
    cli.write("app.py", APP)
    cli.write("words/greeting.py", GREETING.format(greeting="Hello"))
    worker = cli.start("worker", "-a", "app", "-c", "1", "--reload")
    assert said(cli) == '"Hello Ann"\n'
    yield worker
    pid = worker.process.pid
    assert worker.end().code == 0
    assert worker.process.pid == pid


def said(cli: "Cli") -> Any:
    done = cli("submit", "-a", "app", "word:say", '"Ann"', "--wait", "--wait-timeout", "30s", "--quiet")
    return done.out


def test_a_changed_file_of_any_module_of_the_app_is_taken_up(cli: "Cli", worker: "Running") -> None:
    cli.write("words/greeting.py", GREETING.format(greeting="Good day"))
    worker.until("words/greeting.py has changed: starting anew")
    worker.err = ""
    worker.until("word:say")
    assert said(cli) == '"Good day Ann"\n'


def test_what_runs_may_end_before_it_begins_anew(cli: "Cli", worker: "Running") -> None:
    task = cli("submit", "-a", "app", "word:stall", '"go"').out.strip()
    worker.until("begun")
    cli.write("words/greeting.py", GREETING.format(greeting="Good day"))
    worker.until("told to stop: 1 running, given 20 s to end")
    cli.write("go", "")
    worker.until("has changed: starting anew\nduly")
    assert cli("show", "-a", "app", task, "--json").data()["state"] == "succeeded"


@pytest.mark.parametrize("broken", ["def greet(name:", "import nosuchmodule", "raise RuntimeError('not now')"])
def test_what_cannot_be_imported_is_said_and_the_next_change_awaited(
    cli: "Cli", worker: "Running", broken: str
) -> None:
    cli.write("words/greeting.py", broken + "\n")
    worker.until("waiting for a change")
    assert "error: app cannot be imported: " in worker.err
    cli.write("words/greeting.py", GREETING.format(greeting="Good day"))
    worker.err = ""
    worker.until("word:say")
    assert said(cli) == '"Good day Ann"\n'


def test_a_new_file_may_be_the_cure(cli: "Cli", worker: "Running") -> None:
    cli.write("words/greeting.py", "from words.polite import greet\n")
    worker.until("waiting for a change")
    cli.write("words/polite.py", GREETING.format(greeting="Dear"))
    worker.err = ""
    worker.until("word:say")
    assert said(cli) == '"Dear Ann"\n'


def test_from_the_start_what_cannot_be_imported_is_awaited(cli: "Cli") -> None:
    cli.write("app.py", "import nosuchmodule\n")
    worker = cli.start("worker", "-a", "app", "--reload")
    worker.until("waiting for a change")
    cli.write("app.py", 'import duly\napp = duly.App("sqlite:///reload.db")\n')
    worker.until("this App has no actions: a worker would have nothing to do\nwaiting for a change")
    assert worker.end(signal.SIGINT).code == 0
