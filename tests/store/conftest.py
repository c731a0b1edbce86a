from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from duly.store.sqlite.store import SqliteStore

CHILD = """
import os, sys
from duly.ports import *
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
path = sys.argv[1]
def opened(path=path):
    store = SqliteStore(path)
    store.open()
    return store
def say(*what):
    print(*what, flush=True)
def heard():
    return sys.stdin.readline()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "tasks.db")


@pytest.fixture
def open_store(path: str, use: Callable[[SqliteStore], SqliteStore]) -> Callable[..., SqliteStore]:
    return lambda **more: use(SqliteStore(path, **more))


@pytest.fixture
def store(open_store: Callable[..., SqliteStore]) -> SqliteStore:
    return open_store()


@pytest.fixture
def start(path: str) -> Iterator[Start]:
    """Start a process of its own with some code, which finds `path`, `opened`, `say` and `heard`."""
    children: list[subprocess.Popen[str]] = []

    def start_it(code: str, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD + code, path, *arguments]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield start_it
    for child in children:
        child.kill()
        child.communicate(timeout=30)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose mode may be changed."""
    made = tmp_path / "folder"
    made.mkdir()
    yield made
    made.chmod(0o700)


@pytest.fixture
def error_without_rights() -> Callable[[Path], str]:
    """Open a store in a process without privileges, which file modes bind though it be root's; return the error."""
    code = """
import ctypes
header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert ctypes.CDLL(None).capset(header, nothing) == 0
try:
    opened().lanes([("default", "test:check", 1)])
except Exception as error:
    say(type(error).__name__, error)
"""

    def open_it(file: Path) -> str:
        command = [sys.executable, "-c", CHILD + code, str(file)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, check=True).stdout.strip()

    return open_it
