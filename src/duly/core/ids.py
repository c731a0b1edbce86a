"""Ids of tasks: UUIDs of version 7 (RFC 9562), so that ids made later sort later."""

from __future__ import annotations

import re

_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def uuid7(milliseconds: int, dice: bytes) -> str:
    """Return the UUIDv7 of a moment (milliseconds since 1970) and ten random bytes, as text of 36 characters.

    >>> uuid7(1_700_000_000_000, bytes(10))
    '018bcfe5-6800-7000-8000-000000000000'
    """
    octets = bytearray((milliseconds & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + dice)
    octets[6] = 0x70 | octets[6] & 0x0F
    octets[8] = 0x80 | octets[8] & 0x3F
    text = octets.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_task_id(text: str) -> bool:
    """Whether this text is an id as `uuid7` makes them."""
    return _TEXT.fullmatch(text) is not None
