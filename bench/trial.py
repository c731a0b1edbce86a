"""One measurement: a folder of its own, and processes that run one revision of duly in it.

The benchmark itself never imports duly. What it knows comes from the processes it starts, from a pipe that tasks write
into, and from the store's file once nobody has it open any more.
"""

from __future__ import annotations

import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.sides import Side

PATIENCE = 120.0
"""Seconds after which something that should have happened is given up."""


class Failed(Exception):
    """Something could not be measured, and why."""


class Told(NamedTuple):
    """What a task wrote: its process, another one that it started (or 0), and nanoseconds of the monotonic clock."""

    pid: int
    other: int
    at: int


class Pipe:
    """A named pipe that tasks tell things through."""

    FORMAT = struct.Struct("qqq")

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = str(path)
        self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._fd

    def read(self, seconds: float = PATIENCE) -> Told:
        """Wait for the next thing told; raises `Failed` if nothing is."""
        if not select.select([self], [], [], seconds)[0]:
            raise Failed(f"no task has told anything for {seconds:g} s")
        return Told(*self.FORMAT.unpack(os.read(self._fd, self.FORMAT.size)))

    def close(self) -> None:
        """Let go of it."""
        os.close(self._fd)


class Trial:
    """A side of duly, and a folder with a store that nobody else uses."""

    def __init__(self, side: Side, folder: Path) -> None:
        self.side = side
        self.folder = folder
        self.store = folder / "store.db"
        self._environment = side.environment(f"sqlite:///{self.store}")
        self._errors = folder / "stderr"

    def forget(self) -> None:
        """Begin with a fresh store."""
        for file in self.folder.glob("store.db*"):
            file.unlink()

    def _start(self, module: str, *arguments: Any) -> subprocess.Popen[bytes]:
        with self._errors.open("ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
            )

    def run(self, module: str, *arguments: Any) -> Any:
        """Run one of the modules `inside` to its end and return what it says, as JSON."""
        process = self._start(f"bench.inside.{module}", *arguments)
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            raise Failed(f"{module} ended with {process.returncode}: {self._last_words()}")
        return json.loads(said) if said else None

    def submit(self, action: str, count: int, payload: Any, **options: Any) -> None:
        """Store many equal tasks, from a process that ends then."""
        self.run("submit_many", action, count, json.dumps(payload), json.dumps(options))

    @contextmanager
    def process(self, module: str, *arguments: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Have a module run meanwhile, such as a worker; it is asked to end, and must, with 0."""
        process = self._start(module, *arguments)
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            if process.wait(PATIENCE):
                raise Failed(f"{module} ended with {process.returncode}: {self._last_words()}")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @contextmanager
    def worker(self, module: str = "worker") -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker with two runners."""
        with self.process(f"bench.inside.{module}") as process:
            yield process

    @contextmanager
    def pipe(self) -> Iterator[Pipe]:
        """Have a pipe that tasks tell things through."""
        pipe = Pipe(self.folder / f"pipe-{time.monotonic_ns()}")
        try:
            yield pipe
        finally:
            pipe.close()

    def warm(self, pipe: Pipe) -> None:
        """Wait until both runners of the worker have run something at the same time."""
        self.submit("bench:tell", 2, {"pipe": pipe.path, "seconds": 0.2})
        first, second = pipe.read(), pipe.read()
        if first.pid == second.pid:
            self.warm(pipe)

    def _last_words(self) -> str:
        return self._errors.read_text("utf-8", "replace").strip()[-2000:] or "it said nothing"
