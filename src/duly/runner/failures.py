"""From an exception to data: type, message, traceback, fingerprint, and what the exception itself carries."""

from __future__ import annotations

import os
import traceback
from types import TracebackType
from typing import Any

from duly.core import jsonvalue
from duly.core.fingerprint import fingerprint
from duly.errors import DulyError, ErrorData

MOST_DATA = 16 * 1024
MOST_TEXT = 64 * 1024
_OWN = os.path.dirname(os.path.abspath(__file__))


def describe(error: BaseException) -> ErrorData:
    """Describe an exception as data; never raises, whatever the exception's own methods do."""
    kind = _type_name(type(error))
    message = _guarded(lambda: str(error), "<its text cannot be had>")
    frames = traceback.extract_tb(error.__traceback__)
    places = [(os.path.basename(frame.filename), frame.name) for frame in frames if not _is_own(frame.filename)]
    return ErrorData(
        type=kind,
        message=_cut(message),
        traceback=_cut(_guarded(lambda: _text(error), f"{kind}: {message}")),
        fingerprint=fingerprint(kind, message, places),
        code=_code(error),
        data=_guarded(lambda: _data(error), None),
    )


def _type_name(kind: type) -> str:
    module = getattr(kind, "__module__", "builtins")
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _is_own(filename: str) -> bool:
    return os.path.dirname(filename) == _OWN or filename.startswith("<frozen ")


def _text(error: BaseException) -> str:
    """The traceback with causes, contexts and notes, from the user's first line on."""
    shown = traceback.TracebackException(type(error), error, _users_part(error.__traceback__), compact=True)
    return "".join(shown.format())


def _users_part(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and _is_own(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return first


def _code(error: BaseException) -> str | int | None:
    code = _guarded(lambda: getattr(error, "code", None), None)
    return code if isinstance(code, str | int) and not isinstance(code, bool) and len(str(code)) <= 200 else None


def _data(error: BaseException) -> dict[str, Any] | None:
    """The JSON part of the exception's attributes, as far as it goes into `MOST_DATA`."""
    data: dict[str, Any] = {}
    room = MOST_DATA
    for name, value in vars(error).items():
        if name.startswith("_") or name == "code":
            continue
        try:
            size = len(jsonvalue.dump_given({name: value}, room))
        except DulyError:
            continue
        data[name] = value
        room -= size
    return data or None


def _cut(text: str) -> str:
    """Keep head and tail of a text that is too long, and make it fit for UTF-8."""
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) <= MOST_TEXT:
        return text
    half = MOST_TEXT // 2
    return f"{text[:half]}\n… {len(text) - 2 * half:,} characters left out …\n{text[-half:]}"


def _guarded(make: Any, otherwise: Any) -> Any:
    try:
        return make()
    except BaseException:  # noqa: BLE001 - the exception's own code may raise anything
        return otherwise
