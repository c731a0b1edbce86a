"""JSON values at the border: what may enter a store or a channel, and what may not (P13).

msgspec encodes; what it lets pass but JSON cannot carry (NaN, infinities, which become `null`) and what would break
others later (lone surrogates, deep nesting, great size) is found here, with the path to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import msgspec

from duly.errors import PayloadInvalid

MOST_DEPTH = 64
"""How deep arrays and objects may be nested."""

_decoder = msgspec.json.Decoder()
_TEXT = re.compile(rb'"[^"]*+"')
_TO_ARRAYS = bytes.maketrans(b"{}", b"[]")
_NEITHER_BRACKETS_NOR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))
_REFUSALS = (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError)
_SCALARS = (bool, int, float, str)
_TOO_DEEP = f"nested deeper than {MOST_DEPTH} levels"


def dump(value: Any, most: int, hook: Callable[[Any], Any] | None = None) -> bytes:
    """Encode what msgspec can encode (also dataclasses, datetimes, UUIDs …) as JSON of at most `most` bytes.

    `hook` turns other objects into such, or raises `NotImplementedError`.

    Raises `PayloadInvalid` with the path of what cannot be kept.

    >>> dump({"n": [1, 2.5, None]}, most=1_000)
    b'{"n":[1,2.5,null]}'
    """
    data = _encoded(value, most, hook)
    if b"null" in data:  # which may have been a NaN
        _refuse_changed(data, _plain(value, hook))
    return data


def dump_given(value: Any, most: int) -> bytes:
    """Encode a value that is JSON already, kept as given: what would come back changed is refused.

    >>> dump_given({1, 2}, most=1_000)
    Traceback (most recent call last):
    duly.errors.PayloadInvalid: a set is not a JSON value
    """
    data = _encoded(value, most, None)
    _refuse_changed(data, value)
    return data


def _encoded(value: Any, most: int, hook: Callable[[Any], Any] | None) -> bytes:
    try:
        data = _encoder_with(hook).encode(value)
    except RecursionError:
        raise PayloadInvalid(_TOO_DEEP) from None
    except _REFUSALS as error:
        raise _explained(value, hook, str(error)) from None
    check(data, most)
    return data


def _refuse_changed(data: bytes, value: Any) -> None:
    """Look for what is no JSON, piece by piece, if a value does not come back as it was: a NaN comes back as None."""
    if load(data) != value:
        _refuse_strange(value)


@lru_cache(8)
def _encoder_with(hook: Callable[[Any], Any] | None) -> msgspec.json.Encoder:
    return msgspec.json.Encoder(enc_hook=hook)


def load(data: bytes | str) -> Any:
    """Decode JSON text from outside, or raise `PayloadInvalid`."""
    if not data.strip():
        raise PayloadInvalid("not JSON: it is empty")
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadInvalid(f"not JSON: {error}") from None


def check(data: bytes, most: int) -> None:
    """Refuse JSON text that is too large or too deep."""
    if len(data) > most:
        raise PayloadInvalid(f"{len(data):,} bytes of JSON are more than the {most:,} that are taken")
    if len(data) > 2 * MOST_DEPTH and _opens_often(data) and _too_deep(data):
        raise PayloadInvalid(_TOO_DEEP)


def _opens_often(data: bytes) -> bool:
    """Whether there are brackets for so many levels; long texts mostly hold few, and to find them is quick."""
    left = MOST_DEPTH
    for bracket in (b"[", b"{"):
        place = data.find(bracket)
        while place >= 0:
            left -= 1
            if left < 0:
                return True
            place = data.find(bracket, place + 1)
    return False


def _too_deep(data: bytes) -> bool:
    """Take away the innermost level as often as levels are allowed, and see if any is left; counting takes seconds."""
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = data.translate(_TO_ARRAYS, _NEITHER_BRACKETS_NOR_QUOTES)
    brackets = _TEXT.sub(b"", marks.replace(b'""', b""))  # most texts hold no brackets
    for _ in range(MOST_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _plain(value: Any, hook: Callable[[Any], Any] | None) -> Any:
    return msgspec.to_builtins(value, str_keys=True, enc_hook=hook)


def _explained(value: Any, hook: Callable[[Any], Any] | None, reason: str) -> PayloadInvalid:
    """Say what the encoder could not take, and where: also inside of what it can."""

    def takes(part: Any) -> bool:
        try:
            msgspec.json.encode(part, enc_hook=hook)
        except _REFUSALS:
            return False
        return True

    with suppress(*_REFUSALS):
        value = _plain(value, hook)
    found = _find_strange(value, "$", 0, takes)
    return PayloadInvalid(*found) if found is not None else PayloadInvalid(reason)


def _refuse_strange(value: Any) -> None:
    found = _find_strange(value, "$", 0, lambda part: isinstance(part, _SCALARS))
    if found is not None:
        raise PayloadInvalid(*found)


def _find_strange(value: Any, path: str, depth: int, takes: Callable[[Any], bool]) -> tuple[str, str] | None:
    """Return (what is wrong, where) for the first part of a value that is no JSON and that `takes` refuses, if any."""
    if depth > MOST_DEPTH:
        return _TOO_DEEP, "$"
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str) and not takes({key: None}):
                return f"the key {key!r} is not text", path
            found = _wrong_text(str(key), path) or _find_strange(item, f"{path}.{key}", depth + 1, takes)
            if found:
                return found
        return None
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            found = _find_strange(item, f"{path}[{index}]", depth + 1, takes)
            if found:
                return found
        return None
    return _wrong_scalar(value, path, takes)


def _wrong_scalar(value: Any, path: str, takes: Callable[[Any], bool]) -> tuple[str, str] | None:
    if isinstance(value, str) and (wrong := _wrong_text(value, path)):
        return wrong
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is not a JSON number", path
    if value is None or type(value) in _SCALARS or takes(value):
        return None
    return f"{one(type(value))} is not a JSON value", path


def one(kind: type) -> str:
    """Say what a value is.

    >>> one(set), one(object)
    ('a set', 'an object')
    """
    name = kind.__qualname__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _wrong_text(text: str, path: str) -> tuple[str, str] | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text with a lone surrogate is not Unicode", path
    return None
