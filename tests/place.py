"""A store on the disk, and workers as users start them: processes that a test may kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import duly
from duly.core.urls import on_server
from duly.ports import TaskRow
from tests.helpers import eventually, marked

ROOT = Path(__file__).resolve().parent.parent


SOAK = bool(os.environ.get("DULY_SOAK"))
"""Whether all is to be done at full length."""

STORES = ("sqlite", "postgres")
"""What a place can stand on."""

ON_BOTH = pytest.mark.parametrize("place", STORES, indirect=True)
"""For a test whose promise is about the store: its place is on the one, then on the other."""

ON_BOTH_IN_SOAK = pytest.mark.parametrize("place", STORES if SOAK else STORES[:1], indirect=True)
"""The same for one that takes long, where others show in short that its promise holds on the second one, too."""

LEASE_SECONDS = 3
"""After so many who was killed is given up, where others cannot see that its process is gone."""


class Place:
    """A folder, an App for the test, and its workers, which serve the App at `served`; a store in it, or at a `url`."""

    def __init__(self, folder: Path, served: str = "tests.story.shop:app", url: str = "") -> None:
        self.folder = folder
        self.served = served
        self.url = url or f"sqlite:///{folder}/duly.db"
        self.app = duly.App(self.url, lease=LEASE_SECONDS)
        self.log = str(folder / "log")
        self.effects = folder / "effects"
        self.mark = f"STORY={folder}"
        self._workers: list[subprocess.Popen[bytes]] = []

    def share(self, full: int) -> int:
        """How many of these to do: all in a soak, else a third, and a tenth on the second kind of store."""
        return full if SOAK else full // (10 if on_server(self.url) else 3)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("DULY_")}
        own = {
            "DULY_URL": self.url,
            "DULY_LEASE": str(LEASE_SECONDS),
            "STORY": str(self.folder),
            "EFFECTS": str(self.effects),
        }
        return {**kept, **own, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT}/src"}

    def start(self, *options: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a worker, by way of another command if one is given; return when it has enlisted."""
        known = {node.number for node, _ in self.app.nodes()}
        worker = self.launch(*options, within=within)
        eventually(lambda: worker.poll() is not None or {node.number for node, _ in self.app.nodes()} - known)
        assert worker.poll() is None, self.said()
        return worker

    def launch(self, *options: str, within: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        """Start a worker, and wait for nothing."""
        with open(self.folder / "worker.log", "ab") as log:
            worker = subprocess.Popen(
                [*within, sys.executable, "-m", "duly", "worker", "-a", self.served, *options],
                cwd=ROOT, env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        self._workers.append(worker)
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

    def alive(self) -> list[int]:
        """The workers that have not ended."""
        return [worker.pid for worker in self._workers if worker.poll() is None]

    def left(self) -> list[int]:
        """The processes that are left of all workers."""
        return marked(self.mark)

    def end(self) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()
        self.app.close()
        for pid in self.left():
            with suppress(ProcessLookupError):  # it ends just then
                os.kill(pid, signal.SIGKILL)


def url_for(request: pytest.FixtureRequest) -> str:
    """Where the store of a test's place is to be, by the fixture's parameter; "": in its folder."""
    if getattr(request, "param", STORES[0]) == STORES[0]:
        return ""
    database: str = request.getfixturevalue("database")
    return database


class Project:
    """A folder with a user's program; it is run as users run theirs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"STORY={folder}"

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(textwrap.dedent(text))

    def run(self, *arguments: str, stdin: str = "", code: int = 0) -> str:
        """Run python; return stdout, or stderr if another exit code than 0 is expected."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DULY_", "PYTHON"))}
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self.folder, input=textwrap.dedent(stdin), text=True, timeout=60,
            env={**kept, "STORY": str(self.folder), "PYTHONPATH": f"{ROOT}/src"}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stderr if code else done.stdout

    def tasks(self) -> list[duly.TaskInfo]:
        """The tasks of its store, `tasks.db`."""
        with duly.App(f"sqlite:///{self.folder}/tasks.db") as app:
            return list(app.tasks())
