"""What a worker writes each second for whoever looks whether it lives, and what can be told by that.

It is the node's loop that writes: one that hangs, or is stopped, writes no more. Ages are by the monotonic clock, which
all processes of a machine share and nobody sets.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from duly.engine.settings import Settings
from duly.ports import Finding

log = logging.getLogger("duly.node")

EVERY = 1.0
"""Seconds between two times that it is written."""

FRESH = 10.0
"""Seconds after which a status that was not written anew is that of a worker that hangs."""

SILENT = 30.0
MOST_POLLS = 10
"""Seconds, or times that a node looks by itself, without an exchange, after which something is wrong."""


class Status(msgspec.Struct, kw_only=True):
    """How a worker is. Moments are ISO 8601 for people; `written` is in seconds of the monotonic clock.

    `exchange_age` is the age in seconds of its last exchange with the store when this was written; `store` is "ok", or
    says why there was none since.
    """

    pid: int
    began: int
    host: str
    version: str
    node: int
    since: str
    written_at: str
    written: float
    poll: float
    concurrency: int
    running: int
    held: int
    draining: bool
    exchange_age: float
    store: str


class StatusFile:
    """The file that one worker writes its status into, whole or not at all."""

    def __init__(self, path: str, version: str) -> None:
        self.path = os.path.abspath(path)
        self._version = version
        self._pid = os.getpid()
        self._since = _now()
        self._complained = self._looked = False

    def write(self, settings: Settings, **now: Any) -> None:
        """Replace the file by how the worker is now; the work goes on though it cannot be written."""
        if not self._looked:
            self._looked = True
            self._warn_of_another()
        status = Status(
            pid=self._pid,
            began=began(self._pid) or 0,
            host=socket.gethostname(),
            version=self._version,
            since=self._since,
            written_at=_now(),
            written=time.monotonic(),
            poll=settings.poll,
            concurrency=settings.concurrency,
            **now,
        )
        new = f"{self.path}.{self._pid}"
        try:
            with open(new, "wb") as file:
                file.write(msgspec.json.encode(status))
            os.replace(new, self.path)
        except OSError as error:
            if not self._complained:
                log.error("the status file %s cannot be written: %s", self.path, error.strerror)
            self._complained = True
            with suppress(OSError):
                os.unlink(new)
        else:
            self._complained = False

    def _warn_of_another(self) -> None:
        try:
            with open(self.path, "rb") as file:
                other = msgspec.json.decode(file.read(), type=Status)
        except (OSError, msgspec.MsgspecError):
            return
        fresh = 0 <= time.monotonic() - other.written <= FRESH
        if fresh and other.pid != self._pid and began(other.pid) == other.began:
            log.warning("process %d writes %s, too: give each worker a status file of its own", other.pid, self.path)

    def remove(self) -> None:
        """Take it away: there is no worker any more."""
        with suppress(OSError):
            os.unlink(self.path)


class Report:
    """What a node knows of its exchanges, and writes into its status file, if it has one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        path = settings.status_file
        self._file = None if path is None else StatusFile(path, settings.release)
        self.exchanged_at = time.monotonic()
        self.trouble = ""

    @property
    def wanted(self) -> bool:
        """Whether anything is to be written."""
        return self._file is not None

    def write(self, now: float, **more: Any) -> None:
        """Write how the node is."""
        if self._file is not None:
            age, store = now - self.exchanged_at, self.trouble or "ok"
            self._file.write(self._settings, exchange_age=age, store=store, **more)

    def remove(self) -> None:
        """Take it away: there is no worker any more."""
        if self._file is not None:
            self._file.remove()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def began(pid: int) -> int | None:
    """Return when a process began, as the system counts; None if there is none. An id may come to another process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            state, *fields = stat.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state in "ZX" else int(fields[18])


def examine(path: str) -> list[Finding]:
    """Tell by its status file whether a worker lives and works; the first that is not so comes last."""
    try:
        with open(path, "rb") as file:
            status = msgspec.json.decode(file.read(), type=Status)
    except FileNotFoundError:
        return [Finding("status", ok=False, text=f"there is no {path}: no worker runs, or it has another status_file")]
    except (OSError, msgspec.MsgspecError) as error:
        return [Finding("status", ok=False, text=f"{path} cannot be read: {error}")]
    return judge(status, time.monotonic(), began(status.pid))


def judge(status: Status, now: float, began: int | None) -> list[Finding]:
    """Tell by a status whether its worker lives and works; `began` is when the process with its id did."""
    who = f"node {status.node}, process {status.pid} on {status.host}, since {status.since}"
    if began != status.began:
        return [Finding("process", ok=False, text=f"is gone, and has not said goodbye: {who}")]
    age = now - status.written
    lives = Finding("process", ok=True, text=f"lives: {who}")
    if not 0 <= age <= FRESH:
        return [
            lives,
            Finding("status", ok=False, text=f"was not written for {age:.0f} s: its loop hangs, or is stopped"),
        ]
    written = Finding("status", ok=True, text=f"written {age:.1f} s ago: {_does(status)}")
    silent = status.exchange_age + age
    if silent > max(SILENT, MOST_POLLS * status.poll):
        why = "" if status.store == "ok" else f": {status.store}"
        return [lives, written, Finding("exchange", ok=False, text=f"none with the store for {silent:.0f} s{why}")]
    return [lives, written, Finding("exchange", ok=True, text=f"the last with the store was {silent:.1f} s ago")]


def _does(status: Status) -> str:
    does = f"{status.running} of {status.concurrency} runners at work, {status.held} tasks held"
    return f"{does}, and is to end" if status.draining else does
