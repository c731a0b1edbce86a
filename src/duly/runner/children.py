"""The tasks that an attempt submits with its success: gathered in its runner, stored with that or not at all."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from typing import Any

from duly.core import jsonvalue
from duly.core.options import with_options
from duly.core.passport import Options, Passport, issue
from duly.errors import OptionInvalid, PayloadInvalid
from duly.runner.line import Line
from duly.wire.runner import CHILDREN_BYTES, MOST_CHILDREN, encode


class Children:
    """Passports by id, and what they take."""

    def __init__(self, line: Line) -> None:
        self.passports: dict[str, Passport] = {}
        self._line = line
        self._bytes = 0

    def add(self, action: str | Passport, payload: Any, version: int | None, options: dict[str, Any]) -> Passport:
        """Make a task's passport, or take one, and keep it."""
        passport = self._given(action, payload, version, options)
        if passport.id in self.passports:
            return passport
        self._bytes += len(encode(passport))
        if self._bytes > self._line.most + CHILDREN_BYTES or len(self.passports) >= MOST_CHILDREN:
            raise PayloadInvalid(
                f"an attempt submits at most {MOST_CHILDREN:,} tasks with its success, of {self._line.most:,} bytes "
                "in all; submit the others by app.submit_many, at once"
            )
        self.passports[passport.id] = passport
        return passport

    def _given(self, action: str | Passport, payload: Any, version: int | None, options: dict[str, Any]) -> Passport:
        if not isinstance(action, Passport):
            return self._made(action, payload, version, options)
        if payload is not None or version is not None or options:
            raise OptionInvalid("a passport has its payload and options already")
        if len(action.payload_json.encode()) > self._line.most:
            raise PayloadInvalid(f"a payload of more than the {self._line.most:,} bytes that are taken")
        self._line.declared(action.action, action.version, action.options.queue)
        return action

    def _made(self, action: str, payload: Any, version: int | None, options: dict[str, Any]) -> Passport:
        declared = self._line.declared(action, version, options.get("queue"))
        text = jsonvalue.dump_given(payload, self._line.most).decode()
        self._line.check(action, declared.version, text)
        chosen = with_options(Options(queue=declared.queue, priority=declared.priority), datetime.now(UTC), **options)
        origin = f"{socket.gethostname()}:{os.getpid()}"
        return issue(action, declared.version, text, chosen, origin, time.time_ns(), os.urandom(10))
