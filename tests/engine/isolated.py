"""An App whose actions run in all kinds of processes; what they leave in their module tells which ran there before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import duly

seen: list[str] = []
around_life: list[str] = []


def remember(name: str) -> list[Any]:
    """What this process has done before, and who it is."""
    seen.append(name)
    return [os.getpid(), list(seen)]


def alone(name: str) -> list[Any]:
    return remember(name)


def leave_a_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    return child.pid


def die(number: int) -> None:
    os.kill(os.getpid(), number)


def leave(code: int) -> None:
    os._exit(code)


def stay(task: duly.Task) -> str | None:
    try:
        task.update("begun")
        while True:
            signal.pause()
    except duly.TaskStopped:
        return task.stop_reason


def deaf(task: duly.Task) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    task.update(os.getpid())
    while True:
        signal.pause()


def eat(mib: int) -> int:
    kept = [bytearray(os.urandom(1)) * 2**20 for _ in range(mib)]
    time.sleep(20)  # noqa: TID251 - until it is noticed
    return len(kept)


def parent(app_action: str, number: int) -> str:
    """Submit from within, at once and with the success."""
    task = duly.current()
    task.submit(app_action, {"name": f"with {number}"})
    return task.id


async def doze(seconds: float = 0.01) -> list[Any]:
    await asyncio.sleep(seconds)
    return [os.getpid(), duly.current().id]


async def doze_and_tell(task: duly.Task, seconds: float) -> int:
    task.update("begun")
    await asyncio.sleep(seconds)
    return os.getpid()


async def block(task: duly.Task, seconds: float) -> str | None:
    """Keep the loop from all others."""
    task.update("begun")
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            pass
    except duly.TaskStopped:
        return task.stop_reason
    return "not stopped"


async def cling(task: duly.Task) -> None:
    """Not heed being cancelled."""
    task.update(os.getpid())
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            continue


async def stop_when_asked(task: duly.Task) -> str | None:
    task.update("begun")
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        return task.stop_reason
    return None


async def die_in_a_step() -> None:
    await asyncio.gather(_die(), asyncio.sleep(1))


async def _die() -> None:
    await asyncio.sleep(0.01)
    os.kill(os.getpid(), signal.SIGSEGV)


async def fork_and_come_back() -> list[Any]:
    """Fork, and have the fork come back from here, too."""
    pid = os.fork()
    if pid:
        await asyncio.to_thread(os.waitpid, pid, 0)
    return ["runner" if pid else "fork", os.getpid()]


async def exit_politely() -> None:
    sys.exit(3)


async def speak(name: str) -> None:
    for number in range(3):
        print(f"{name} says {number}")  # noqa: T201 - it is to be heard
        await asyncio.sleep(0.005)
    print(f"{name} ends", end="")  # noqa: T201


async def count_up(task: duly.Task, to: int) -> None:
    for number in range(1, to + 1):
        task.update(number)
        await asyncio.sleep(0.001)


def grow(mib: int) -> int:
    around_life.extend("x" * 2**20 for _ in range(mib))
    return os.getpid()


def pool() -> Iterator[None]:
    around_life.append(f"set up in {os.getpid()}")
    yield
    with open(os.environ["ISOLATED_LOG"], "a", encoding="utf-8") as log:
        log.write(f"{os.getpid()}\n")


def broken_pool() -> Iterator[None]:
    if os.path.exists(os.environ["ISOLATED_LOG"]):
        yield
    raise ConnectionError("no database there")


def deadly_pool() -> Iterator[None]:
    if not os.path.exists(os.environ["ISOLATED_LOG"]):
        os._exit(9)
    yield


def life() -> list[Any]:
    return [os.getpid(), list(around_life)]


async def block_after(task: duly.Task, seconds: float) -> None:
    """Keep the loop from all others, a moment after it began."""
    task.update("begun")
    await asyncio.sleep(0.1)
    time.sleep(seconds)  # noqa: ASYNC251, TID251 - it blocks the loop


async def start_what_blocks(task: duly.Task) -> None:
    """Wait, beside something of its own that keeps the loop from all others and is awaited by nobody."""

    async def block() -> None:
        task.update("begun")
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass

    beside = asyncio.create_task(block())
    await asyncio.sleep(60)
    await beside


async def die_in_a_thread(task: duly.Task) -> None:
    """Take the process along where no step tells whose fault it is."""
    task.update("begun")
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGSEGV)).start()
    await asyncio.sleep(60)


async def die_later(task: duly.Task, seconds: float) -> None:
    task.update("begun")
    await asyncio.sleep(seconds)
    os.kill(os.getpid(), signal.SIGSEGV)


async def keep_telling(task: duly.Task) -> None:
    while True:
        task.update(time.monotonic())
        await asyncio.sleep(0.1)


async def keep_telling_come_what_may(task: duly.Task) -> None:
    while True:
        with contextlib.suppress(duly.TaskStopped):
            task.update(os.getpid())
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.1)


def first_time(flag: str) -> bool:
    try:
        os.close(os.open(flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def doze_once(task: duly.Task, flag: str) -> int:
    """Sleep for long, but only the first time."""
    if first_time(flag):
        task.update(os.getpid())
        time.sleep(60)  # noqa: TID251 - it is stopped
    return os.getpid()


async def adoze_once(task: duly.Task, flag: str) -> int:
    if first_time(flag):
        task.update(os.getpid())
        await asyncio.sleep(60)
    return os.getpid()


async def take_turns(task: duly.Task) -> None:
    """Be busy without end, and let others be; another time there is nothing left to do."""
    if not first_time(os.environ["ISOLATED_LOG"] + ".turns"):
        return
    task.update(os.getpid())
    while True:  # noqa: ASYNC110 - it is busy
        await asyncio.sleep(0)


def slow_pool() -> Iterator[None]:
    while not os.path.exists(os.environ["ISOLATED_LOG"]):
        time.sleep(0.01)  # noqa: TID251 - it waits for a database
    yield


def begin_a_worker() -> str:
    try:
        app.run_worker()
    except duly.WorkerMisplaced as error:
        return str(error)
    return "it was begun"


app = duly.App("sqlite:///:memory:")
