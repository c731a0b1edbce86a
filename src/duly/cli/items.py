"""The items of `duly map`: each a JSON value or a text, named on the command line or one a line on stdin."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from duly.cli.flight import Item
from duly.core import jsonvalue
from duly.errors import PayloadInvalid

CHUNK = 64 * 1024


def named(texts: Sequence[str]) -> list[Item]:
    """Number the items of a command line."""
    return [Item(number, os.fsencode(text)) for number, text in enumerate(texts, 1)]


def read(fd: int, end: bytes, most: int, *, blank: bool) -> Iterator[list[Item]]:
    """Yield the items of a file as they come, each with the number of its line; those that are `blank` only if wanted.

    It takes what is there, so who writes slowly is not waited for. Raises `PayloadInvalid` for a line that has more
    than `most` bytes: it would have to be held in memory.
    """
    number, rest = 1, b""
    while data := os.read(fd, CHUNK):
        *lines, rest = (rest + data).split(end)
        if items := _numbered(lines, number, blank=blank):
            yield items
        number += len(lines)
        if len(rest) > most + CHUNK:
            raise PayloadInvalid(f"item {number}: more than {most:,} bytes")
    if rest and (items := _numbered([rest], number, blank=blank)):
        yield items


def _numbered(lines: list[bytes], first: int, *, blank: bool) -> list[Item]:
    return [Item(number, line) for number, line in enumerate(lines, first) if blank or line.strip()]


def value_of(item: Item, *, text: bool) -> Any:
    """Return an item's value; raises `PayloadInvalid`."""
    try:
        return item.given.decode() if text else jsonvalue.load(item.given)
    except UnicodeDecodeError:
        raise PayloadInvalid(f"item {item.number}: it is not UTF-8") from None
    except PayloadInvalid as error:
        refused = PayloadInvalid(f"item {item.number}: {error}")
        refused.add_note("each item is one JSON value; with --text it is taken as it is")
        raise refused from None
