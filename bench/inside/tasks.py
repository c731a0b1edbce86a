"""The App, and the tasks that are measured. Its store is named by the environment."""

from __future__ import annotations

import os
import random
import struct
import time

import duly
from bench.inside.stubborn import GRACE, TIMEOUT, heed_nothing, leave_behind

app = duly.App()


@app.action("bench:noop")
def noop(blob: str) -> None:
    """Do nothing with some text."""


@app.action("bench:wake")
def wake() -> int:
    """Say when its first line ran."""
    return time.monotonic_ns()


@app.action("bench:tell")
def tell(pipe: str, seconds: float = 0.0) -> None:
    """Tell that it runs, and stay for a while."""
    write(pipe)
    time.sleep(seconds)


@app.action("bench:echo")
def echo(text: str) -> str:
    """Give back what it was given."""
    return text


@app.action("bench:stubborn", timeout=TIMEOUT, grace=GRACE, max_attempts=1)
def stubborn(pipe: str) -> None:
    """Heed no signal, leave a process behind that heeds none either, and never end."""
    began = time.monotonic_ns()
    heed_nothing()
    write(pipe, leave_behind(), began)
    spinning = random.random() < 0.5
    while True:
        if not spinning:
            time.sleep(1)


def write(pipe: str, other: int = 0, at: int | None = None) -> None:
    """Tell a pipe of this process, something else about it, and a moment of the monotonic clock: now."""
    fd = os.open(pipe, os.O_WRONLY)
    os.write(fd, struct.pack("qqq", os.getpid(), other, time.monotonic_ns() if at is None else at))
    os.close(fd)
