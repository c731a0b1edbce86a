import signal
import threading
from pathlib import Path

import psutil
import pytest

from duly import Handle, Task
from duly.app import App


def nothing() -> None: ...


def test_a_worker_interrupted_while_it_starts_leaves_no_thread_and_no_process(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    children = psutil.Process().children()
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        app.action("nothing:do")(nothing)
        worker = app.worker(1)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.03)  # a runner's process takes longer to start
            with pytest.raises(KeyboardInterrupt), worker:
                pass
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)

        assert "duly-node" not in {thread.name for thread in threading.enumerate()}
        assert psutil.Process().children() == children


def test_a_worker_interrupted_while_its_thread_starts_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def start_interrupted(thread: threading.Thread) -> None:
        start(thread)
        if thread.name == "duly-node":
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", start_interrupted)
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        app.action("nothing:do")(nothing)
        with pytest.raises(KeyboardInterrupt), app.worker(1):
            pass
        assert "duly-node" not in {thread.name for thread in threading.enumerate()}


def nap(task: Task, seconds: float) -> None:
    task.update("begun")
    threading.Event().wait(seconds)


def test_a_worker_interrupted_while_it_drains_hurries_and_leaves_no_process(tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGALRM, interrupt)
    children = psutil.Process().children()
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("nap:take", grace=0.5)(nap)

        def work() -> Handle[None]:
            handle = action.submit(60)
            with app.worker(1):
                assert any(event.kind == "update" for event in handle.events())
                signal.setitimer(signal.ITIMER_REAL, 0.05)
            return handle

        try:
            with pytest.raises(KeyboardInterrupt):
                work()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)

        assert psutil.Process().children() == children
        assert [task.state for task in app.tasks()] == ["ready"], "it was interrupted, and waits for another worker"
