"""What the nodes under test have to do."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time

import duly
from duly.core.passport import Passport


def nothing() -> None: ...


def pid() -> int:
    return os.getpid()


def nap(seconds: float) -> int:
    time.sleep(seconds)  # noqa: TID251 - it is work
    return os.getpid()


def stay(task: duly.Task) -> str | None:
    """Run until asked to stop; answer why."""
    try:
        task.update("begun")  # whoever hears of it may stop this at once
        while True:
            signal.pause()
    except duly.TaskStopped:
        return task.stop_reason


def tell_pid(task: duly.Task) -> None:
    """Tell who runs this, and run until asked to stop."""
    try:
        task.update(os.getpid())
        while True:
            signal.pause()
    except duly.TaskStopped:
        return


def mix(task: duly.Task, seconds: float = 0.0) -> int:
    """Mostly done at once; else chatter for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        task.update(os.getpid())
        time.sleep(0.01)  # noqa: TID251 - it is work
    return os.getpid()


def leave_a_thread() -> int:
    threading.Thread(target=signal.pause, daemon=True).start()
    return os.getpid()


def kill_zygote(task: duly.Task) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()


def die_in_a_line() -> None:
    os.write(1, b"half a line")
    os.kill(os.getpid(), signal.SIGKILL)


def order(name: str, path: str) -> None:
    with open(path, "a", encoding="utf-8") as log:
        log.write(f"{name}\n")


async def later(seconds: float) -> None:
    await asyncio.sleep(seconds)


def pause_own_action(task: duly.Task) -> list[object]:
    app = duly.App("sqlite:///nowhere.db")  # inside a handler that is its worker's
    return [app.pause(action=task.action), app.pause(action=task.action), app.paused()[0].action]


def environment() -> list[str]:
    return sorted(os.environ)


def leave_a_child(task: duly.Task, task_id: str) -> None:
    task.submit(Passport(id=task_id, action="errand:nothing", version=1, payload_json="{}"))
