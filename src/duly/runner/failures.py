"""From an exception to data: type, message, traceback, fingerprint, and what the exception itself carries."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from duly.core import jsonvalue
from duly.errors import ErrorData
from duly.wire.runner import encode

T = TypeVar("T")

MOST_DATA = 16 * 1024
MOST_TEXT = 64 * 1024
MOST_FRAMES = 1000
"""Frames of a traceback that are looked at, at most: the innermost ones."""

_LARGEST_CODE = 1 << 63
_MACHINERY = (os.path.join("importlib", "__init__.py"), os.path.join("asyncio", "events.py"), threading.__file__)
_OWN = os.path.dirname(os.path.abspath(__file__))
_ENTRIES = tuple(os.path.join(_OWN, name) for name in ("child.py", "targets.py"))
"""Where the user's code is entered; below the last of these, all is the user's."""


def describe(error: BaseException) -> ErrorData:
    """Describe an exception as data; never raises, whatever the exception's own methods do."""
    kind = _guarded(lambda: _type_name(type(error)), "Exception")
    message = _guarded(lambda: _cut(str(error)), "<its text cannot be had>")
    users = _guarded(lambda: _users_part(error.__traceback__), None)
    return ErrorData(
        type=kind,
        message=message,
        traceback=_guarded(lambda: _cut(_text(error, users)), f"{kind}: {message}"),
        fingerprint=_guarded(lambda: _fingerprint(kind, message, users), ""),
        code=_guarded(lambda: _code(error), None),
        data=_guarded(lambda: _data(error), None),
    )


def _type_name(kind: type) -> str:
    module = getattr(kind, "__module__", "builtins")
    return _cut(kind.__qualname__ if module in ("builtins", None) else f"{module}.{kind.__qualname__}")


def _text(error: BaseException, users: TracebackType | None) -> str:
    """The traceback with causes, contexts and notes, from the user's first line on."""
    shown = traceback.TracebackException(type(error), error, users, limit=-MOST_FRAMES, compact=True)
    return "".join(shown.format())


def _fingerprint(kind: str, message: str, users: TracebackType | None) -> str:
    from duly.core.fingerprint import fingerprint  # noqa: PLC0415 - 3 ms that a runner without errors need not spend

    return fingerprint(kind, message, _places(users))


def _places(users: TracebackType | None) -> list[tuple[str, str]]:
    frames = traceback.extract_tb(users, limit=-MOST_FRAMES)
    return [(os.path.basename(frame.filename), frame.name) for frame in frames if not _is_own(frame.filename)]


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    """What is left without duly's own frames and those of the machinery by which it runs and imports things."""
    first = here = trace
    while here is not None:
        if here.tb_frame.f_code.co_filename in _ENTRIES:
            first = here
        here = here.tb_next
    while first is not None and _is_own(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first


def _is_own(filename: str) -> bool:
    """Whether a frame is duly's, or of the machinery that imports modules, calls callbacks and starts threads."""
    return os.path.dirname(filename) == _OWN or filename.startswith("<frozen ") or filename.endswith(_MACHINERY)


def _code(error: BaseException) -> str | int | None:
    code = getattr(error, "code", None)
    if isinstance(code, bool) or not isinstance(code, str | int):
        return None
    if isinstance(code, int):
        return int(code) if -_LARGEST_CODE <= code < _LARGEST_CODE else None
    return _cut(code) if len(code) <= 200 else None


def _data(error: BaseException) -> dict[str, Any] | None:
    """The JSON part of the exception's attributes, as far as it goes into `MOST_DATA`."""
    data: dict[str, Any] = {}
    room = MOST_DATA
    for name, value in vars(error).items():
        if name.startswith("_") or name == "code":
            continue
        try:
            text = jsonvalue.dump_given({name: value}, room)
            kept = jsonvalue.load(text)
            encode(kept)  # a number of more than 64 bits is JSON, and cannot be sent
        except Exception:  # noqa: BLE001, S112 - the value is the user's, and its methods may raise anything
            continue
        data |= kept
        room -= len(text)
    return data or None


def _cut(text: str) -> str:
    """Keep head and tail of a text that is too long, and make it fit for UTF-8."""
    if len(text) > MOST_TEXT:
        half = MOST_TEXT // 2
        text = f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def _guarded(make: Callable[[], T], otherwise: T) -> T:
    try:
        return make()
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        return otherwise
