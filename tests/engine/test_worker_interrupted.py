import signal
import threading
from pathlib import Path

import psutil
import pytest

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
