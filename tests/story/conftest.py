"""A store on the disk, and workers as users start them: processes that a test may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.ports import TaskRow
from tests.helpers import eventually, marked

ROOT = Path(__file__).resolve().parent.parent.parent


class Place:
    """A store in a folder of its own, an App on it for the test, and its workers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/duly.db"
        self.app = duly.App(self.url)
        self.log = str(folder / "log")
        self.mark = f"STORY={folder}"
        self._workers: list[subprocess.Popen[bytes]] = []

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DULY_")}
        return {**kept, "DULY_URL": self.url, "STORY": str(self.folder), "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/src"}

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker; return when it has enlisted and its runners were made."""
        known = {node.number for node, _ in self.app.nodes()}
        with open(self.folder / "worker.log", "ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "duly", "worker", "-a", "tests.story.shop:app", *options],
                cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._workers.append(worker)
        eventually(lambda: worker.poll() is not None or {node.number for node, _ in self.app.nodes()} - known)
        assert worker.poll() is None, self.said()
        return worker

    def stop(self, worker: subprocess.Popen[bytes]) -> int:
        """Tell a worker to stop, and return its exit code."""
        worker.send_signal(signal.SIGTERM)
        return worker.wait(60)

    def row(self, task: duly.Handle[Any]) -> TaskRow:
        """All that is stored of a task."""
        return self.app.look(task.id)[0]

    def kinds(self, task: duly.Handle[Any]) -> list[str]:
        """The kinds of a task's events, in order."""
        return [event.kind for event in self.app.look(task.id)[1]]

    def said(self) -> str:
        """What the workers said."""
        return (self.folder / "worker.log").read_text(errors="replace")

    def lines(self) -> list[str]:
        """What tasks have written into the log."""
        return Path(self.log).read_text().splitlines() if os.path.exists(self.log) else []

    def left(self) -> list[int]:
        """The processes that are left of all workers."""
        return marked(self.mark)

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.app.close()
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path)
    yield place
    place.end()
