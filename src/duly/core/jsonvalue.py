"""JSON values at the border: what may enter a store or a channel, and what may not (P13).

msgspec encodes; what it lets pass but JSON cannot carry (NaN, infinities, which become `null`) and what would break
others later (lone surrogates, deep nesting, great size) is found here, with the path to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import msgspec

from duly.errors import PayloadInvalid

MOST_DEPTH = 64
"""How deep arrays and objects may be nested."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]')


def dump(value: Any, most: int, hook: Callable[[Any], Any] | None = None) -> bytes:
    """Encode what msgspec can encode (also dataclasses, datetimes, UUIDs …) as JSON of at most `most` bytes.

    `hook` turns other objects into such, or raises `NotImplementedError`.

    Raises `PayloadInvalid` with the path of what cannot be kept.

    >>> dump({"n": [1, 2.5, None]}, most=1_000)
    b'{"n":[1,2.5,null]}'
    """
    try:
        data = _encoder.encode(value) if hook is None else msgspec.json.encode(value, enc_hook=hook)
    except (TypeError, ValueError, OverflowError, RecursionError, NotImplementedError) as error:
        raise _explained(value, str(error)) from None
    if b"null" in data:
        _refuse_hidden_nulls(value, hook)
    check(data, most)
    return data


def dump_given(value: Any, most: int) -> bytes:
    """Encode a value that is JSON already, kept as given: what would come back changed is refused.

    >>> dump_given({1, 2}, most=1_000)
    Traceback (most recent call last):
    duly.errors.PayloadInvalid: a set is not a JSON value
    """
    data = dump(value, most)
    if _decoder.decode(data) != value:
        found = _find_strange(value, "$", 0)
        if found is not None:
            raise PayloadInvalid(*found)
    return data


def load(data: bytes | str) -> Any:
    """Decode JSON text from outside, or raise `PayloadInvalid`."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise PayloadInvalid(f"not JSON: {error}") from None


def check(data: bytes, most: int) -> None:
    """Refuse JSON text that is too large or too deep."""
    if len(data) > most:
        raise PayloadInvalid(f"{len(data):,} bytes of JSON are more than the {most:,} that are taken")
    if data.count(b"[") + data.count(b"{") > MOST_DEPTH and _depth(data) > MOST_DEPTH:
        raise PayloadInvalid(f"nested deeper than {MOST_DEPTH} levels")


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for match in _BRACKETS.finditer(data):
        sign = match.group()
        if sign in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in b"]}":
            depth -= 1
    return deepest


def _refuse_hidden_nulls(value: Any, hook: Callable[[Any], Any] | None) -> None:
    """A `null` in the text may have been a NaN: look at the value itself."""
    try:
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=hook)
    except RecursionError:
        raise PayloadInvalid(f"nested deeper than {MOST_DEPTH} levels") from None
    found = _find_strange(plain, "$", 0)
    if found is not None:
        raise PayloadInvalid(*found)


def _explained(value: Any, reason: str) -> PayloadInvalid:
    found = _find_strange(value, "$", 0)
    return PayloadInvalid(*found) if found is not None else PayloadInvalid(reason)


def _find_strange(value: Any, path: str, depth: int) -> tuple[str, str] | None:
    """Return (what is wrong, where) for the first part of a value that is not JSON, if any."""
    if depth > MOST_DEPTH:
        return f"nested deeper than {MOST_DEPTH} levels", "$"
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return f"the key {key!r} is not text", path
            found = _wrong_text(key, path) or _find_strange(item, f"{path}.{key}", depth + 1)
            if found:
                return found
        return None
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            found = _find_strange(item, f"{path}[{index}]", depth + 1)
            if found:
                return found
        return None
    return _wrong_scalar(value, path)


def _wrong_scalar(value: Any, path: str) -> tuple[str, str] | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return _wrong_text(value, path)
    if isinstance(value, int):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else (f"{value} is not a JSON number", path)
    return f"a {type(value).__qualname__} is not a JSON value", path


def _wrong_text(text: str, path: str) -> tuple[str, str] | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text with a lone surrogate is not Unicode", path
    return None
