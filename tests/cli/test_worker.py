import signal
import threading
from typing import TYPE_CHECKING

import pytest

from duly.engine.worker import SAME_SECONDS

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

UNIMPORTABLE = """
import sys

import duly

app = duly.App("sqlite:///shop.db")
if "duly.cli" not in sys.modules:
    import nosuchmodule


@app.action("email:send")
def send(to: str) -> None: ...
"""

MISPLACED = """
import duly

app = duly.App("sqlite:///shop.db")


@app.action("email:send")
def send(to: str) -> None: ...


app.run_worker()
"""


def state_of(cli: "Cli", task_id: str) -> str:
    return str(cli("show", "-a", "shop", task_id, "--json").data()["state"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_lets_what_runs_end_and_begins_nothing_more(cli: "Cli", number: int) -> None:
    running = cli("submit", "-a", "shop", "report:build", '"go"').out.strip()
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    worker.until(f"begun {running}")
    waiting = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    worker.process.send_signal(number)
    worker.until("told to stop: 1 running")
    cli.write("go", "")
    done = worker.wait()
    assert (done.code, done.out) == (0, "")
    assert "Traceback" not in done.err
    assert (state_of(cli, running), state_of(cli, waiting)) == ("succeeded", "ready")


def test_told_twice_it_hurries_and_gives_back_what_runs(cli: "Cli") -> None:
    running = cli("submit", "-a", "shop", "report:build", '"never"').out.strip()
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    worker.until("begun")
    worker.process.send_signal(signal.SIGTERM)
    worker.until("told to stop")
    threading.Event().wait(SAME_SECONDS)
    assert worker.end(signal.SIGTERM).code == 0
    assert state_of(cli, running) == "ready"


def test_it_says_what_it_serves_and_passes_on_what_tasks_print(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "2")
    task_id = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    worker.until(f"[email:send {task_id}] sending to ann\n")
    done = worker.end()
    assert "2 runners, all queues, store " in done.err
    assert "  report:build  (queue reports)\n" in done.err
    assert done.out == ""


def test_only_the_queues_that_are_named_are_served(cli: "Cli") -> None:
    mail = cli("submit", "-a", "shop", "email:send", '"ann"').out.strip()
    report = cli("submit", "-a", "shop", "report:build", '"shop.py"').out.strip()
    worker = cli.start("worker", "-a", "shop", "-c", "1", "--queue", "reports", "--quiet")
    worker.until(f"begun {report}")
    done = worker.end()
    assert "2 runners" not in done.err
    assert (state_of(cli, mail), state_of(cli, report)) == ("ready", "succeeded")


def test_a_handler_whose_module_fails_to_import_is_said_at_the_start_and_ends_it_with_2(cli: "Cli") -> None:
    cli.write("shop.py", UNIMPORTABLE)
    done = cli("worker", "-a", "shop")
    assert (done.code, done.out) == (2, "")
    assert "error: email:send: Traceback" in done.err
    assert "No module named 'nosuchmodule'" in done.err
    assert "importlib" not in done.err


def test_a_worker_that_is_started_by_an_import_says_where_it_belongs(cli: "Cli") -> None:
    cli.write("shop.py", MISPLACED)
    done = cli("worker", "-a", "shop")
    assert done.code == 2
    assert "`if __name__ == '__main__':`" in done.err


@pytest.mark.parametrize(
    ("text", "arguments", "code", "said"),
    [
        ('app = duly.App("sqlite:///shop.db")', [], 2, "this App has no actions"),
        ('app = duly.App("sqlite:///:memory:")', [], 2, "a store in memory"),
        ('app = duly.App("sqlite:///nosuch/shop.db")', [], 4, "there is no folder"),
        ('app = duly.App("sqlite:///shop.py")', [], 4, "is not an SQLite database"),
        ('app = duly.App("sqlite:///shop.db")', ["--queue", "Bad Queue"], 2, "bad queue name"),
    ],
)
def test_a_worker_that_cannot_work_says_why(cli: "Cli", text: str, arguments: list[str], code: int, said: str) -> None:
    declared = "" if "no actions" in said else '\n\n\n@app.action("email:send")\ndef send(to: str) -> None: ...\n'
    cli.write("shop.py", f"import duly\n\n{text}{declared}")
    done = cli("worker", "-a", "shop", *arguments)
    assert done.code == code
    assert said in done.err
    assert "Traceback" not in done.err
