"""The App whose workers run under faults: its handlers tell an effect log what they do; its store is named by DULY_URL.

What a handler returns names the execution: `[pid, microseconds]` stands in the log with its begin and its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import duly

EFFECTS = "EFFECTS"
"""The environment variable that names the log; one of duly's own would not reach the handlers."""

Trace = list[int]

app = duly.App()
SOON = duly.Backoff(first=0.01, most=0.05)


def tell(line: str) -> None:
    """Write a line so that it is in the log whole, or not at all, whoever is killed meanwhile."""
    fd = os.open(os.environ[EFFECTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, f"{line}\n".encode())
    finally:
        os.close(fd)


@contextmanager
def told(task: duly.Task, kind: str = "process") -> Iterator[Trace]:
    """Tell of an execution: that it begins, and that it comes to its end without an exception."""
    trace = [os.getpid(), time.time_ns() // 1000]
    _tell_effect("begin", task, trace, trace[1], kind)
    yield trace
    _tell_effect("end", task, trace, time.time_ns() // 1000, kind)


def _tell_effect(what: str, task: duly.Task, trace: Trace, at: int, kind: str) -> None:
    tell(f"{what} {task.id} {task.attempt} {trace[0]} {trace[1]} {at} {kind} {time.monotonic_ns() // 1000}")


@app.action("faults:work", retry=SOON)
def work(task: duly.Task, seconds: float) -> Trace:
    with told(task) as trace:
        time.sleep(seconds)
    return trace


@app.action("faults:fresh", isolation="fresh", retry=SOON)
def fresh(task: duly.Task, seconds: float) -> Trace:
    with told(task, "fresh") as trace:
        time.sleep(seconds)
    return trace


@app.action("faults:shared", isolation="shared", retry=SOON)
async def shared(task: duly.Task, seconds: float) -> Trace:
    with told(task, "shared") as trace:
        await asyncio.sleep(seconds)
    return trace


@app.action("faults:stray", retry=SOON)
def stray(task: duly.Task, seconds: float) -> Trace:
    """Start a process that wants to escape: a session of its own, another parent, deaf to what it can be."""
    with told(task) as trace:
        if os.fork() == 0:
            if os.fork() == 0:
                os.setsid()
                for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
                    signal.signal(number, signal.SIG_IGN)
                time.sleep(3600)
            os._exit(0)
        time.sleep(seconds)
    return trace


@app.action("faults:flaky", max_attempts=6, retry=SOON)
def flaky(task: duly.Task, fails: int) -> Trace:
    """Raise in the first attempts."""
    with told(task) as trace:
        if task.attempt <= fails:
            raise ValueError("not yet")
    return trace


@app.action("faults:refuse", max_attempts=2, retry=SOON)
def refuse(task: duly.Task) -> object:
    """Never succeed."""
    with told(task):
        return duly.Failure({"why": "on principle"})


@app.action("faults:snooze", retry=SOON)
def snooze(task: duly.Task, seconds: float) -> object:
    """Ask once for another time."""
    with told(task) as trace:
        if task.info.get("slept"):
            return trace
        task.add_info("slept", True)
        return duly.Snooze(seconds)


@app.action("faults:parent", retry=SOON)
def parent(task: duly.Task, children: int, seconds: float = 0.0) -> Trace:
    """Have children, with this attempt's success alone."""
    with told(task) as trace:
        for _ in range(children):
            task.submit(work.passport(seconds))
    return trace


@app.action("faults:carry", retry=SOON)
def carry(task: duly.Task, text: str) -> str:
    """Bring back what it was given, however large."""
    with told(task):
        return text


@app.action("faults:hang", timeout="10m", grace=1, retry=SOON)
def hang(task: duly.Task) -> Trace:
    """Run until it is stopped."""
    with told(task):
        while True:
            signal.pause()


@app.action("faults:cling", timeout="10m", grace=1, retry=SOON)
def cling(task: duly.Task) -> Trace:
    """Run until it is killed."""
    with told(task):
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            signal.pause()


@app.action("faults:stubborn", timeout="10m", grace=0.5, retry=SOON)
def stubborn(task: duly.Task, seconds: float) -> Trace:
    """Take its time, whatever it is asked."""
    with told(task) as trace:
        until = time.monotonic() + seconds
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while time.monotonic() < until:
            time.sleep(0.01)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return trace


@app.action("faults:orphan", retry=SOON)
def orphan(task: duly.Task) -> Trace:
    """Once take all runners along, and leave behind a process that nobody knows, which ends by itself."""
    with told(task) as trace:
        if not before(task):
            subprocess.Popen(["sleep", "0.5"], env={}, start_new_session=True)
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
    return trace


def before(task: duly.Task) -> bool:
    """Whether it has begun before."""
    with open(os.environ[EFFECTS], encoding="ascii") as log:
        return sum(line.startswith(f"begin {task.id} ") for line in log) > 1


@app.action("faults:die", retry=SOON)
def die(task: duly.Task, times: int) -> Trace:
    """Kill the process that it runs in, in the first attempts."""
    with told(task) as trace:
        if task.attempt <= times:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace
