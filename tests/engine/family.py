"""Handlers that submit, cancel and wait. In a runner this App reaches whoever runs it; its url is nobody's."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import duly
from duly.wire.runner import Ask, Done, encode

app = duly.App("sqlite:///nowhere.db")
MANY = 2_500


def echo(value: Any) -> Any:
    return value


def stay(task: duly.Task, begun: str = "") -> None:
    if begun:
        Path(begun).touch()
    while True:
        signal.pause()


def pid() -> int:
    return os.getpid()


def large(size: int) -> str:
    return "x" * size


# submitting


def have(value: Any = None, name: str = "family:echo") -> str:
    return app.submit(name, {"value": value}).id


async def have_soon(count: int) -> list[str]:
    handles = await asyncio.gather(*(app.asubmit("family:echo", {"value": n}) for n in range(count)))
    return [handle.id for handle in handles]


def have_by_threads(count: int) -> list[str]:
    with ThreadPoolExecutor(16) as threads:
        return [handle.id for handle in threads.map(lambda n: app.submit("family:echo", {"value": n}), range(count))]


def have_many() -> int:
    passports = [app.passport("family:echo", {"value": n}) for n in range(MANY)]
    app.submit_many(passports)
    return len({handle.id for handle in app.submit_many(passports)})


def try_to(what: str) -> tuple[str, str]:
    """Do something that is refused, and return the error's code and words."""
    try:
        eval(what, {"app": app, "task": duly.current()})
    except duly.DulyError as error:
        return error.code, str(error)
    return "done", ""


# looking and cancelling


def look(task_id: str) -> tuple[str, list[str], int]:
    handle = app.handle(task_id).refresh()
    return handle.state, [event.kind for event in app.look(task_id)[1]], len(list(app.tasks(action=handle.action)))


def cancel(task_id: str) -> str:
    return app.cancel(task_id, "a sibling said so")


def cancel_oneself(task: duly.Task) -> str:
    app.cancel(task.id, "had enough")
    while True:
        signal.pause()


# waiting


def wait(value: Any, depth: int = 0) -> Any:
    if depth == 0:
        return app.submit("family:echo", {"value": value}).result(allow_wait=True)
    return app.submit("family:wait", {"value": value, "depth": depth - 1}).result(allow_wait=True)


def mixed(waits: bool) -> bool:
    return bool(wait(1)) if waits else False


def wait_for(task_id: str, begun: str) -> None:
    Path(begun).touch()
    app.handle(task_id).wait(allow_wait=True)


async def wait_soon(value: Any) -> list[Any]:
    handles = [await app.asubmit("family:echo", {"value": value}) for _ in range(3)]
    return await asyncio.gather(*(handle.aresult(allow_wait=True) for handle in handles))


# who may not ask


def fork_an_asker(told: str) -> None:
    app.submit("family:echo", {"value": 1})
    pid = os.fork()
    if pid == 0:
        Path(told).write_text(try_to_submit())
        os._exit(0)
    os.waitpid(pid, 0)


def try_to_submit() -> str:
    try:
        return app.submit("family:echo", {"value": 1}).id
    except duly.NotAvailable as error:
        return str(error)


# hostile ones


def own_sockets() -> list[socket.socket]:
    """The channel, and the line."""
    found = []
    for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                found.append(socket.socket(fileno=os.dup(fd)))
        except OSError:  # it was that of the listing itself
            continue
    return found


def talk_nonsense(verb: str, body: str) -> None:
    own_sockets()[0].send(encode(Ask(1, 1, 1, verb, bytes.fromhex(body))))
    while True:
        signal.pause()


def ask_and_never_listen(task_id: str) -> None:
    channel = own_sockets()[0]
    for number in range(1_000_000):
        channel.send(encode(Ask(2, 1, number, "find", encode((task_id,)))))


# with its success


def bear(task: duly.Task, values: list[Any], end: str = "") -> list[str]:
    """Submit with the success, in all ways, and end otherwise if told to."""
    children = [task.submit("family:echo", {"value": value}, priority="low").id for value in values]
    passport = app.passport("family:echo", {"value": "passport"})
    children += {task.submit(passport).id for _ in range(3)}
    if end == "raise" and task.attempt == 1:
        raise ValueError("not yet")
    if end == "die" and task.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "hang" and task.attempt == 1:
        while True:
            signal.pause()
    if end == "cancel":
        with suppress(duly.TaskStopped):
            app.cancel(task.id)
            signal.pause()
    return children


def bear_and_answer(task: duly.Task, answer: str) -> Any:
    task.submit("family:echo", {"value": 1})
    return duly.Failure("no", retry=False) if answer == "failure" else duly.Snooze(3600)


def bear_one_large(task: duly.Task, size: int) -> str:
    return task.submit("family:echo", {"value": "x" * size}).id


def bear_strangers(value: str) -> None:
    """Say by the channel that this attempt has submitted what it never asked for."""
    child = duly.Passport(id="stranger", action="never:heard", version=1, payload_json=value)
    own_sockets()[0].send(encode(Done(1, 1, 1, "success", "null", children=[child])))


async def raise_many(task: duly.Task, value: int) -> tuple[int, str]:
    """Of all there is, in a coroutine: submit, wait, and bear with the success."""
    handle = await app.asubmit("family:echo", {"value": value}, version=3)
    return await handle.aresult(allow_wait=True), task.submit("family:none", value).id


def have_one_after_another(count: int, begun: str) -> int:
    Path(begun).touch()
    return len({app.submit("family:echo", {"value": n}).id for n in range(count)})
