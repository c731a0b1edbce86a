"""One measurement: a folder of its own, and processes that run one revision of duly in it.

The benchmark itself never imports duly. What it knows comes from the processes it starts, from a pipe that tasks write
into, and from the store's file once nobody has it open any more.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from bench.sides import Side

PATIENCE = 60.0
"""Seconds after which something that should have happened is given up."""

LOOK_SECONDS = 0.5
"""How often it is looked whether processes live while nothing is told."""

SUBMITS_A_SECOND = 10_000
"""What is expected at least of storing many tasks, so that a million have their time."""

WARM_TRIES = 10

SCRATCH = "/var/tmp"
"""Stores are made here unless TMPDIR says where: on a disk also if /tmp is memory, in which a commit costs nothing."""


def scratch() -> Path:
    """Where stores are made."""
    return Path(os.environ.get("TMPDIR", SCRATCH))


class Failed(Exception):
    """Something could not be measured, and why."""


class Told(NamedTuple):
    """What a task wrote: its process, another number (such as of one that it started), and monotonic nanoseconds."""

    pid: int
    other: int
    at: int


class Pipe:
    """A named pipe that tasks tell things through."""

    FORMAT = struct.Struct("qqq")

    def __init__(self, path: Path, look: Callable[[], None]) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._look = look
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def read(self, seconds: float = PATIENCE) -> Told:
        """Wait for the next thing told; raises `Failed` if nothing is, or if who should see to it has ended."""
        until = time.monotonic() + seconds
        while not select.select([self], [], [], LOOK_SECONDS)[0]:
            self._look()
            if time.monotonic() > until:
                raise Failed(f"no task has told anything for {seconds:g} s")
        return Told(*self.FORMAT.unpack(os.read(self._fd, self.FORMAT.size)))

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


class Trial:
    """A side of duly, and a folder with a store that nobody else uses."""

    def __init__(self, side: Side, folder: Path, url: str | None = None) -> None:
        self.side = side
        self.folder = folder
        self.store = folder / "store.db"
        self._kept = folder / "kept.db"
        self._environment = side.environment(url or f"sqlite:///{self.store}")
        self._errors = folder / "stderr"
        self._meanwhile: dict[subprocess.Popen[bytes], str] = {}

    def keep(self) -> None:
        """Remember the store as it is; nobody may have it open."""
        shutil.copyfile(self.store, self._kept)

    def restore(self) -> None:
        """Begin with the store that was kept; nobody may have it open."""
        for file in self.folder.glob("store.db*"):
            file.unlink()
        shutil.copyfile(self._kept, self.store)

    def beside(self, name: str) -> Trial:
        """The same side with another store, in a folder below this one."""
        folder = self.folder / name
        folder.mkdir()
        return Trial(self.side, folder)

    def read(self, sql: str, values: dict[str, Any] | None = None) -> Any:
        """The first row that a query of the store has."""
        connection = apsw.Connection(str(self.store), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(sql, values or {}).fetchone()
        finally:
            connection.close()

    def _start(self, module: str, arguments: tuple[Any, ...], stdout: int | None) -> subprocess.Popen[bytes]:
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=errors if stdout is None else stdout,
                stderr=errors,
            )

    @contextmanager
    def _bounded(self, process: subprocess.Popen[bytes], module: str) -> Iterator[None]:
        """Have a process end in time, with 0: what has not ended is killed, whatever happened meanwhile."""
        try:
            yield
            if process.wait(PATIENCE):
                raise self._ended(process, module)
        except subprocess.TimeoutExpired:
            raise Failed(f"{module} has not ended for {PATIENCE:g} s: {self._last_words()}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def run(self, module: str, *arguments: Any, seconds: float = 0.0) -> Any:
        """Run one of the modules `inside` to its end, expected so soon, and return what it says, as JSON."""
        with self._start(f"bench.inside.{module}", arguments, subprocess.PIPE) as process:
            with self._bounded(process, module):
                said, _ = process.communicate(timeout=seconds + PATIENCE)
            return json.loads(said) if said else None

    def time(self, *arguments: str) -> float:
        """Seconds from the start of an interpreter with such arguments until it has ended, with 0."""
        since = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        passed = time.perf_counter() - since
        if done.returncode:
            raise Failed(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr.decode().strip()}")
        return passed

    def submit(self, action: str, count: int, payload: Any, **options: Any) -> None:
        """Store many equal tasks, from a process that ends then."""
        seconds = count / SUBMITS_A_SECOND
        self.run("submit_many", action, count, json.dumps(payload), json.dumps(options), seconds=seconds)

    @contextmanager
    def process(self, module: str, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Have a module run meanwhile, such as a worker; it is asked to end, and must, with 0."""
        process = self._start(module, arguments, None)
        self._meanwhile[process] = module
        with self._bounded(process, module):
            try:
                yield process
            finally:
                del self._meanwhile[process]
            process.send_signal(signal.SIGTERM)

    def look(self) -> None:
        """Raise `Failed` if something has ended that was to run meanwhile."""
        for process, module in self._meanwhile.items():
            if process.poll() is not None:
                raise self._ended(process, module)

    def _ended(self, process: subprocess.Popen[bytes], module: str) -> Failed:
        return Failed(f"{module} ended with {process.returncode}: {self._last_words()}")

    @contextmanager
    def worker(self, module: str = "worker") -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker with two runners."""
        with self.process(f"bench.inside.{module}") as process:
            yield process

    @contextmanager
    def pipe(self) -> Iterator[Pipe]:
        """Have a pipe that tasks tell things through."""
        pipe = Pipe(self.folder / f"pipe-{time.monotonic_ns()}", self.look)
        try:
            yield pipe
        finally:
            pipe.close()

    def warm(self, pipe: Pipe) -> None:
        """Wait until both runners of the worker have run something at the same time."""
        for _ in range(WARM_TRIES):
            self.submit("bench:tell", 2, {"pipe": pipe.path, "seconds": 0.2})
            if pipe.read().pid != pipe.read().pid:
                return
        raise Failed("one runner is handed all that two could do")

    def _last_words(self) -> str:
        """The end of what was written to stderr; of a revision that says that it cannot do this, that alone."""
        words = self._errors.read_text("utf-8", "replace").strip()[-2000:] or "it said nothing"
        return words.rpartition("duly.errors.NotAvailable: ")[2]
