import json
import os
import signal
from typing import TYPE_CHECKING

from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, History


def test_all_is_well_where_there_is_no_store_yet(cli: "Cli") -> None:
    done = cli("doctor")
    assert done.code == 0
    assert {line.split()[1] for line in done.out.splitlines() if line.startswith("ok")} == {
        *("duly", "python", "sqlite", "platform", "processes", "memory", "store")
    }
    assert not (cli.folder / "duly.db").exists()


def test_tasks_that_nobody_can_do_are_found(history: "History") -> None:
    done = history.cli("doctor", "-a", "shop")
    assert done.code == 1
    assert "no  actions" in done.out
    assert "1 task of email:strange" in done.out


def test_findings_are_a_document(history: "History") -> None:
    done = history.cli("doctor", "--url", "sqlite:///shop.db", "--json")
    told = done.data()
    assert told["ok"] is True
    assert {"integrity", "workers"} < {finding["what"] for finding in told["findings"]}


def test_a_worker_at_work_is_named(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1")
    cli("submit", "-a", "shop", "email:send", '"ann"')
    worker.until("sending to ann")
    assert "1 worker at work" in cli("doctor", "-a", "shop").out
    assert worker.end().code == 0
    assert "0 workers at work" in cli("doctor", "-a", "shop").out


def test_a_damaged_store_is_found(cli: "Cli") -> None:
    cli.write("shop.db", "SQLite format 3\0" + "rubbish" * 2000)
    done = cli("doctor", "-a", "shop")
    assert done.code == 1
    assert "no  store" in done.out or "no  integrity" in done.out
    assert "Traceback" not in done.err


def test_a_worker_that_lives_is_told_by_its_status_file(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "shop", "-c", "1", DULY_STATUS_FILE="status.json")
    cli("submit", "-a", "shop", "email:send", '"ann"')
    worker.until("sending to ann")
    done = cli("doctor", "--node", DULY_STATUS_FILE="status.json")
    assert (done.code, [line.split()[:2] for line in done.out.splitlines()]) == (
        0,
        [["ok", "process"], ["ok", "status"], ["ok", "exchange"]],
    )
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    done = cli("doctor", "--node", "--status-file", "status.json", "--json")
    assert done.code == 1
    (finding,) = json.loads(done.out)["findings"]
    assert finding["text"].startswith("is gone, and has not said goodbye")


def test_a_worker_that_has_ended_has_no_status_file(cli: "Cli") -> None:
    cli.write("told.py", "import shop\napp = shop.duly.App('sqlite:///shop.db', status_file='told.json')\n"
              "app.action('email:send')(shop.send)\n")  # fmt: skip
    worker = cli.start("worker", "-a", "told", "-c", "1")
    eventually(lambda: cli("doctor", "-a", "told", "--node").code == 0)
    assert worker.end().code == 0
    done = cli("doctor", "-a", "told", "--node")
    assert (done.code, "no worker runs" in done.out) == (1, True)


def test_where_the_status_file_is_has_to_be_said(cli: "Cli") -> None:
    done = cli("doctor", "-a", "shop", "--node")
    assert (done.code, "which status file?" in done.err) == (2, True)
