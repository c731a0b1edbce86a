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
    tell_begun(pipe)
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
    _tell(pipe, os.getpid(), leave_behind(), began)
    spinning = random.random() < 0.5
    while True:
        if not spinning:
            time.sleep(1)


def tell_begun(pipe: str) -> None:
    """Tell that this process is at work."""
    _tell(pipe, os.getpid(), 0, time.monotonic_ns())


def _tell(pipe: str, *words: int) -> None:
    fd = os.open(pipe, os.O_WRONLY)
    os.write(fd, struct.pack("qqq", *words))
    os.close(fd)
