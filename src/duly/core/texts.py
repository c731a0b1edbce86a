"""Texts that every store can keep, as they are: Unicode, and no NUL in it, at which PostgreSQL would end them."""

from __future__ import annotations

from typing import Any

from duly.errors import OptionInvalid

MOST_NAME = 200
"""Characters that a task's id and its origin have at most: a server's index takes no rows of any length."""


def is_kept(text: str) -> bool:
    r"""Whether every store can keep this text.

    >>> is_kept("Grüße"), is_kept("a\0b"), is_kept("\ud800")
    (True, False, False)
    """
    if text.isascii():
        return "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def check_text(what: str, given: Any, meant: str) -> str:
    """Return a text that is to be kept; raises `OptionInvalid`, which says what is `meant`."""
    if not isinstance(given, str):
        raise OptionInvalid(f"bad {what} {given!r}: {meant}")
    if not is_kept(given):
        raise OptionInvalid(f"bad {what} {given!r}: {meant}, in UTF-8 and without NUL")
    return given


def check_id(task_id: Any) -> str:
    """Return what is to be a task's id; raises `OptionInvalid` for what can be none."""
    return check_text("task id", task_id, "a task's `id`, as text")


def check_name(what: str, given: Any, meant: str) -> str:
    """Return a text that is to be kept, and is not long; raises `OptionInvalid`."""
    if len(check_text(what, given, meant)) > MOST_NAME:
        raise OptionInvalid(f"bad {what} {given[:MOST_NAME]!r}...: {meant}, of {MOST_NAME} characters at most")
    return str(given)
