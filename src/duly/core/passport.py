"""Passports: who a task is and what it carries."""

from __future__ import annotations

from typing import Any

import msgspec

from duly.core.action import Priority
from duly.core.ids import uuid7


class Options(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a submitter may say about one task; the rest is the action's. Seconds; microseconds for `run_at`.

    A `delay` counts from the moment at which the store takes the task, by the store's clock.
    """

    queue: str = "default"
    priority: Priority = "medium"
    front: bool = False
    run_at: int | None = None
    delay: float | None = None
    timeout: float | msgspec.UnsetType | None = msgspec.UNSET
    max_attempts: int | None = None


class Passport(msgspec.Struct, frozen=True, kw_only=True):
    """Who a task is and what it carries; made before the task is stored, never changed.

    `payload_json` is the payload as JSON text, `origin` says who made it (`user@host:pid`), `made_at` is the
    submitter's clock in microseconds.
    """

    id: str
    action: str
    version: int
    payload_json: str
    options: Options = Options()
    origin: str = ""
    made_at: int = 0

    @property
    def payload(self) -> Any:
        """The payload as a JSON value, decoded anew at each call."""
        return msgspec.json.decode(self.payload_json)


def issue(
    action: str, version: int, payload_json: str, options: Options, origin: str, nanoseconds: int, dice: bytes
) -> Passport:
    """Return a new task's passport; its id is made of the moment (nanoseconds since 1970) and ten random bytes."""
    return Passport(
        id=uuid7(nanoseconds // 1_000_000, dice),
        action=action,
        version=version,
        payload_json=payload_json,
        options=options,
        origin=origin,
        made_at=nanoseconds // 1000,
    )
