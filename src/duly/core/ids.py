"""Ids of tasks: UUIDs of version 7 (RFC 9562), so that ids made later sort later."""

from __future__ import annotations

import re

_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_VARIANT = "89ab" * 4
"""The digit whose two highest bits say that it is such a UUID, by that which the dice gave."""


def uuid7(milliseconds: int, dice: bytes) -> str:
    """Return the UUIDv7 of a moment (milliseconds since 1970) and ten random bytes, as text of 36 characters.

    >>> uuid7(1_700_000_000_000, bytes(10))
    '018bcfe5-6800-7000-8000-000000000000'
    """
    time, rest = f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}", dice.hex()
    return f"{time[:8]}-{time[8:]}-7{rest[1:4]}-{_VARIANT[dice[2] >> 4]}{rest[5:8]}-{rest[8:]}"


def is_task_id(text: str) -> bool:
    """Whether this text is an id as `uuid7` makes them."""
    return _TEXT.fullmatch(text) is not None
