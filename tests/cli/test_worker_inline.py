import os
import pty
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers import eventually

if TYPE_CHECKING:
    from tests.cli.conftest import Cli

INLINE = """
import asyncio
import os
import sys
import threading

import duly

app = duly.App("sqlite:///inline.db")


@app.action("inline:pid", timeout=0.1)
def pid(_n: int) -> int:
    print("in", os.getpid(), flush=True)
    return os.getpid()


@app.action("inline:long", timeout=0.05, memory="1MiB", max_attempts=1)
def long(_n: int) -> int:
    kept = bytearray(50_000_000)
    threading.Event().wait(0.3)
    return len(kept)


@app.action("inline:async")
async def coroutine(n: int) -> int:
    await asyncio.sleep(0.01)
    return n


@app.action("inline:exit", max_attempts=1)
def leave(code: int) -> None:
    sys.exit(code)


@app.action("inline:stall")
def stall(task: duly.Task) -> None:
    task.update(message="begun")
    threading.Event().wait()


@app.action("inline:parent")
def parent(task: duly.Task) -> int:
    return app.submit("inline:async", 3).result(allow_wait=True)


pool = []


@app.runner_setup
def around():
    pool.append("open")
    yield
    pool.clear()


@app.action("inline:fresh", isolation="fresh")
def fresh(_n: int) -> list[object]:
    return [*pool, os.getpid()]


@app.action("inline:shared", isolation="shared")
async def shared(_n: int) -> list[object]:
    return [*pool, os.getpid()]


@app.action("inline:break")
def stop_here(answer: int) -> int:
    breakpoint()
    return answer
"""


@pytest.fixture(autouse=True)
def inline(cli: "Cli") -> None:
    cli.write("inline.py", INLINE)


pause = threading.Event()


def submit(cli: "Cli", action: str, payload: str = "1") -> str:
    return cli("submit", "-a", "inline", action, payload).out.strip()


def told(cli: "Cli", task_id: str) -> Any:
    return cli("show", "-a", "inline", task_id, "--json").data()


def ended(cli: "Cli", task_id: str) -> Any:
    assert cli("watch", "-a", "inline", task_id, "--quiet", "--timeout", "30s").code in (0, 1)
    return told(cli, task_id)


def test_handlers_run_in_the_workers_own_process_with_a_loud_warning(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "inline", "--inline", "--quiet")
    tasks = [submit(cli, "inline:pid"), submit(cli, "inline:async", "7")]
    assert [ended(cli, task)["value"] for task in tasks] == [worker.process.pid, 7]
    done = worker.end()
    assert (done.code, done.out) == (0, f"in {worker.process.pid}\n")
    for promise in ("warning: --inline", "P3", "P4", "P5", "P6"):
        assert promise in done.err


def test_no_limit_of_time_or_memory_holds(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "inline", "--inline")
    assert ended(cli, submit(cli, "inline:long"))["value"] == 50_000_000
    assert worker.end().code == 0


def test_a_handler_that_exits_is_a_death_and_the_worker_goes_on(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "inline", "--inline")
    dead = ended(cli, submit(cli, "inline:exit", "4"))
    assert (dead["state"], dead["cause"], dead["error"]["exit_code"]) == ("failed", "died", 4)
    assert ended(cli, submit(cli, "inline:async", "7"))["value"] == 7
    assert worker.end().code == 0


def test_told_twice_it_interrupts_what_runs_and_gives_it_back(cli: "Cli") -> None:
    stalled = submit(cli, "inline:stall", "{}")
    worker = cli.start("worker", "-a", "inline", "--inline")
    eventually(lambda: told(cli, stalled)["state"] == "running")
    worker.process.send_signal(signal.SIGINT)
    worker.until("told to stop: 1 running")

    # Python's locks may miss a signal that comes just after another one; people press the keys once more.
    def ended_at_last() -> bool:
        worker.process.send_signal(signal.SIGINT)
        pause.wait(0.5)
        return worker.process.poll() == 0

    eventually(ended_at_last)
    assert told(cli, stalled)["state"] == "ready"


def test_a_cancel_interrupts_what_runs(cli: "Cli") -> None:
    stalled = submit(cli, "inline:stall", "{}")
    worker = cli.start("worker", "-a", "inline", "--inline")
    eventually(lambda: told(cli, stalled)["state"] == "running")
    assert cli("cancel", "-a", "inline", stalled, "--wait", "20s").out == "asked\n"
    assert told(cli, stalled)["state"] == "cancelled"
    assert worker.end().code == 0


def test_what_a_handler_waits_for_can_be_done_by_another_worker(cli: "Cli") -> None:
    task = submit(cli, "inline:parent", "{}")
    worker = cli.start("worker", "-a", "inline", "--inline")
    eventually(lambda: told(cli, task)["state"] == "running")
    other = cli.start("worker", "-a", "inline", "-c", "1")
    assert ended(cli, task)["value"] == 3
    assert (worker.end().code, other.end().code) == (0, 0)


def test_any_isolation_will_do_and_what_is_around_a_runner_runs(cli: "Cli") -> None:
    worker = cli.start("worker", "-a", "inline", "--inline")
    tasks = [submit(cli, f"inline:{name}", "2") for name in ("fresh", "shared", "fresh")]
    assert [ended(cli, task)["value"] for task in tasks] == [["open", worker.process.pid]] * 3
    assert worker.end().code == 0


def test_a_breakpoint_stops_on_the_terminal(cli: "Cli") -> None:
    task = submit(cli, "inline:break", "7")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "r+b", buffering=0) as terminal:
        worker = subprocess.Popen(
            cli.command("worker", "-a", "inline", "--inline", "--quiet"), cwd=cli.folder, stdin=theirs, stdout=theirs,
            stderr=subprocess.DEVNULL, env=cli.environment(TERM="dumb"),
        )  # fmt: skip
        cli.running.append(worker)
        os.close(theirs)
        until(terminal.fileno(), b"(Pdb) ")
        terminal.write(b"answer = 8\nc\n")
        assert ended(cli, task)["value"] == 8
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0


def until(terminal: int, text: bytes) -> None:
    seen = b""
    while text not in seen:
        seen += os.read(terminal, 65536)


@pytest.mark.parametrize("other", [["--reload"], ["--concurrency", "2"]])
def test_it_goes_with_neither_reload_nor_concurrency(cli: "Cli", other: list[str]) -> None:
    done = cli("worker", "-a", "inline", "--inline", *other)
    assert (done.code, done.out) == (2, "")
    assert "leave out --reload and --concurrency" in done.err
