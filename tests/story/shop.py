"""The App whose workers the stories run; its store is named by DULY_URL."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import duly

app = duly.App()


def _append(path: str, line: str) -> None:
    """Write a line so that it is in the file whole, or not at all."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


@app.action("shop:echo")
def echo(value: Any) -> Any:
    return value


@app.action("shop:work", max_attempts=3)
def work(task: duly.Task, seconds: float, log: str) -> int:
    _append(log, f"{task.id} {os.getpid()}")
    time.sleep(seconds)  # noqa: TID251 - it is work
    return os.getpid()


@app.action("shop:tell_when")
def tell_when() -> int:
    return time.time_ns() // 1000


@app.action("shop:order")
def order(name: str, log: str) -> None:
    _append(log, name)


@app.action("shop:hang", timeout="1m", grace=0.2, max_attempts=1)
def hang(log: str) -> None:
    _append(log, str(os.getpid()))
    while True:
        signal.pause()


@app.action("shop:deaf", timeout=0.3, grace=0.3, max_attempts=1)
def deaf(log: str) -> None:
    """Heeds no signal and never ends, and what it started does neither."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
        signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        os.setsid()
        _append(log, str(os.getpid()))
        while True:
            time.sleep(1)  # noqa: TID251 - for ever
    _append(log, str(os.getpid()))
    while True:
        pass


@app.action("shop:patient", timeout="1m", grace=5, max_attempts=1)
def patient(task: duly.Task, log: str) -> str:
    """Run until it is asked to stop; what it then answers is too late."""
    _append(log, str(os.getpid()))
    try:
        while True:
            signal.pause()
    except duly.TaskStopped:
        _append(log, str(task.stop_reason))
        return "too late"


@app.action("shop:eat", memory="64MiB", max_attempts=1)
def eat(mebibytes: int) -> int:
    kept = []
    for _ in range(mebibytes):
        kept.append(bytearray(os.urandom(1)) * 2**20)
        time.sleep(0.002)  # noqa: TID251 - it is work
    return len(kept)


@app.action("shop:die", max_attempts=9, retry=duly.Backoff(first=0.01, most=0.02))
def die(number: int = signal.SIGKILL) -> None:
    os.kill(os.getpid(), number)


@app.action("shop:flaky", max_attempts=5, retry=duly.Backoff(first=0.01, most=0.02))
def flaky(task: duly.Task, fails: int) -> int:
    if task.attempt <= fails:
        raise ValueError("not yet")
    return task.attempt


@app.action("shop:kill_node", max_attempts=9, retry=duly.Backoff(first=0.01, most=0.02))
def kill_node(log: str) -> None:
    """Take the whole worker along: its supervisor first, then itself."""
    _append(log, str(os.getpid()))
    zygote = os.getppid()
    os.kill(_parent(zygote), signal.SIGKILL)
    os.kill(zygote, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


@app.action("shop:reveal")
def reveal() -> dict[str, Any]:
    """What task code can reach: its environment, open files and arguments."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    with open("/proc/self/cmdline", encoding="utf-8") as line:
        return {"environment": dict(os.environ), "files": links, "command": line.read(), "parent": os.getppid()}


@app.action("shop:answer", max_attempts=2, retry=duly.Backoff(first=0.01, most=0.02))
def answer(task: duly.Task, value: Any, info: Any = None) -> Any:
    task.add_info("told", info)
    task.update(info)
    return value


@app.action("shop:report", max_attempts=9)
def report(task: duly.Task, seconds: float, times: int) -> int:
    """Tell how far it is, so many times."""
    for number in range(times):
        task.update(number, fraction=number / times)
        task.add_info("done", number)
        time.sleep(seconds)  # noqa: TID251 - it is work
    return times


@app.action("shop:refuse", max_attempts=2, retry=duly.Backoff(first=0.01, most=0.02))
def refuse(value: Any, retry: bool = True) -> Any:
    return duly.Failure(value, retry=retry)


@app.action("shop:print", max_attempts=1)
def write_out(mebibytes: int, end: str = "") -> None:
    line = b"x" * 127 + b"\n"
    for _ in range(16 * mebibytes):
        sys.stdout.buffer.write(512 * line)
    sys.stdout.write(f"{end}\n")
    if end:
        raise ValueError(end)


@app.action("shop:grow", max_attempts=99, retry=duly.Backoff(first=0.01, most=0.02), demote_after=0)
def grow(task: duly.Task, node: str, levels: int, folder: str) -> None:
    """Be one node of a tree: leave a trace, and have five children with this attempt's success."""
    _append(f"{folder}/{node}", task.id)
    for number in range(5 if levels else 0):
        task.submit(grow.passport(f"{node}.{number}", levels - 1, folder))
    time.sleep(0.001)  # noqa: TID251 - it is work
