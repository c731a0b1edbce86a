"""Task code that gets hold of what is duly's own in its process harms itself alone."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

import duly
from duly.app import App
from duly.wire.runner import Done, Said, encode


def own_channel() -> socket.socket:
    for fd in os.listdir("/proc/self/fd"):
        try:
            if stat.S_ISSOCK(os.fstat(int(fd)).st_mode):
                return socket.socket(fileno=os.dup(int(fd)))
        except OSError:  # it was that of the listing itself
            continue
    raise LookupError("no channel")


def talk_nonsense(task: duly.Task, key: int, kind: str, body: str) -> None:
    message = Done(key, 1, 1, "failure", body) if kind == "failure" else Said(key, 1, kind, body)  # type: ignore[arg-type]
    own_channel().send(encode(message))
    while kind != "failure":
        task.check()


def say_done_and_go_on(task: duly.Task) -> None:
    own_channel().send(encode(Done(1, 1, 1, "success", "null")))
    while True:
        pass


def hang_up() -> None:
    own_channel().shutdown(socket.SHUT_RDWR)
    while True:
        pass


def number() -> int:
    return 42


@pytest.mark.parametrize(("kind", "body"), [("update", "{no"), ("info", "[]"), ("failure", "{no")])
def test_what_it_says_and_is_no_json_ends_it_and_nobody_else(tmp_path: Path, kind: str, body: str) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("nonsense:talk", timeout=5, grace=0.2, max_attempts=1)(talk_nonsense)
        other = app.action("number:tell")(number)
        with app.worker(1):
            handle = action.submit(1, kind, body)  # the store's first task has the key 1
            assert handle.wait(20).cause == ("invalid" if kind == "failure" else "died")
            assert other.submit().result(timeout=20) == 42


def test_hanging_up_ends_it_at_once_and_does_not_keep_its_node_busy(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("channel:hang_up", timeout=5, grace=0.2, max_attempts=1)(hang_up)
        with app.worker(1):
            assert action.submit().wait(20).cause == "died"


def test_saying_to_be_done_and_going_on_keeps_nobody_waiting(tmp_path: Path) -> None:
    with App(f"sqlite:///{tmp_path}/tasks.db") as app:
        action = app.action("channel:lie")(say_done_and_go_on)
        other = app.action("number:tell")(number)
        with app.worker(1):
            action.submit().wait(20)  # the store's first task has the key 1
            assert other.submit().result(timeout=20) == 42
