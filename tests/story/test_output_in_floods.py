"""Whatever tasks print, and whether anybody reads it: work goes on, and nothing grows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.helpers import eventually
from tests.story import shop

GIBIBYTE = 1024

TALK = """
import sys
import duly

app = duly.App()
print("imported", file=sys.stderr)

@app.action("talk:echo")
def echo(value: int) -> int:
    return value
"""


def peak_of(pid: int) -> int:
    """The most memory that a process has had at once, in bytes."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


def size_of(place: Any) -> int:
    return sum(file.stat().st_size for file in place.folder.glob("duly.db*"))


class Stderr:
    """A worker whose stderr is a pipe."""

    def __init__(self, place: Any) -> None:
        self.place = place
        self.read, self.write = os.pipe()
        self.process: subprocess.Popen[bytes] | None = None
        self.reader = threading.Thread(target=self._read_all)

    def _read_all(self) -> None:
        while os.read(self.read, 1 << 16):
            pass

    def start(self, app: str = "tests.story.shop:app") -> subprocess.Popen[bytes]:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "duly", "worker", "-a", app, "-c", "1"], cwd=self.place.folder,
            env=self.place.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.write,
        )  # fmt: skip
        return self.process

    def drain(self) -> bytes:
        """All that is in the pipe."""
        os.set_blocking(self.read, False)
        return os.read(self.read, 1 << 20)

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        os.close(self.write)
        if self.reader.ident is not None:
            self.reader.join()
        os.close(self.read)


@pytest.fixture
def stderr(place: Any) -> Iterator[Stderr]:
    stderr = Stderr(place)
    yield stderr
    stderr.close()


def test_a_task_that_prints_a_gibibyte_costs_neither_memory_nor_disk(place: Any, stderr: Stderr) -> None:
    worker = stderr.start()
    stderr.reader.start()
    assert place.app.submit("shop:echo", 1).result(timeout=30) == 1
    memory, disk = peak_of(worker.pid), size_of(place)

    failing = place.app.submit("shop:print", {"mebibytes": 1, "end": "the end"})
    assert place.app.submit("shop:print", GIBIBYTE).wait(90).ok

    assert peak_of(worker.pid) - memory < 16 * 2**20
    assert size_of(place) - disk < 4 * 2**20
    kept = next(event.data["output"] for event in failing.events() if event.data and "output" in event.data)
    assert kept.endswith("x\nthe end\n")
    assert 60_000 < len(kept) <= 65_536


def test_work_goes_on_though_nobody_reads_what_a_worker_says(place: Any, stderr: Stderr) -> None:
    worker = stderr.start()
    assert place.app.submit("shop:print", 2).wait(60).ok
    stuck = len(stderr.drain())
    assert place.app.submit("shop:print", 1).wait(60).ok
    assert shop.echo.__name__ in place.app.submit("shop:echo", "echo").result(timeout=30)
    assert stuck > 60_000
    assert place.stop(worker) == 0
    assert b"bytes of output were left out" in stderr.drain()


def test_a_worker_whose_stderr_is_full_from_the_start_starts_and_stops(place: Any, stderr: Stderr) -> None:
    os.set_blocking(stderr.write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(stderr.write, b"." * 4096)
    os.set_blocking(stderr.write, True)
    (place.folder / "talk.py").write_text(TALK)
    worker = stderr.start("talk:app")
    assert place.app.submit("talk:echo", 1).result(timeout=30) == 1
    assert place.stop(worker) == 0
    assert eventually(lambda: set(stderr.drain())) == {ord(".")}
