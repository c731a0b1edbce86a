"""JSON values as they are given on a command line."""

from __future__ import annotations

import sys
from typing import Any

from duly.core import jsonvalue
from duly.errors import PayloadInvalid


def read_json(text: str | None, what: str) -> Any:
    """Return the value of JSON text, of what stdin has for `-`, or None for nothing; raises `PayloadInvalid`."""
    if text is None:
        return None
    data = sys.stdin.buffer.read() if text == "-" else text.encode("utf-8", "surrogateescape")
    try:
        return jsonvalue.load(data)
    except PayloadInvalid as error:
        where = " from stdin" if text == "-" else ""
        refused = PayloadInvalid(f"{what}{where}: {error}")
        if text.isidentifier():
            refused.add_note(f"text is written in quotes: '\"{text}\"'")
        raise refused from None
