"""Actions: the names of kinds of tasks, and what is fixed for each of them."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from duly.core.keeping import Keep
from duly.core.retry import Backoff
from duly.errors import ActionInvalid

Priority = Literal["high", "medium", "low"]
Isolation = Literal["process", "fresh", "shared"]

MOST_SEGMENTS = 8
_SEGMENT = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_GRAMMAR = (
    "an action is named noun(/sub)*:verb, like 'email:send' or 'email/bulk:send'; "
    "a segment is a-z followed by up to 63 of a-z 0-9 _ . -, and there are at most 8 of them"
)


class ActionName(msgspec.Struct, frozen=True):
    """A parsed action name; permissions and lookups compare segments, never text.

    >>> parse_action("email/bulk:send")
    ActionName(noun=('email', 'bulk'), verb='send')
    """

    noun: tuple[str, ...]
    verb: str

    def __str__(self) -> str:
        return "/".join(self.noun) + ":" + self.verb


def parse_action(name: object) -> ActionName:
    """Parse an action name, or raise `ActionInvalid`; nothing is ever normalised.

    >>> str(parse_action("email:send"))
    'email:send'
    """
    noun, colon, verb = name.partition(":") if isinstance(name, str) else ("", "", "")
    segments = noun.split("/")
    well_formed = colon and all(_SEGMENT.fullmatch(segment) for segment in [*segments, verb])
    if not well_formed or len(segments) + 1 > MOST_SEGMENTS:
        called = ': give a name, as in @app.action("email:send")' if callable(name) else f": {_GRAMMAR}"
        raise ActionInvalid(f"bad action name {name!r}{called}")
    return ActionName(tuple(segments), verb)


def check_queue(name: object) -> str:
    """Return the queue's name if it is one segment of the action grammar, or raise `ActionInvalid`."""
    if not isinstance(name, str) or not _SEGMENT.fullmatch(name):
        raise ActionInvalid(f"bad queue name {name!r}: a-z followed by up to 63 of a-z 0-9 _ . -")
    return name


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What bounds the attempts of a task: seconds, bytes and counts; None means no limit."""

    timeout: float | None = 600.0
    grace: float = 5.0
    memory: int | None = None
    max_attempts: int = 5
    retry: Backoff = Backoff()
    demote_after: int = 2


class ActionSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A declared kind of task: its name and version, where it waits, and its policy."""

    name: str
    version: int = 1
    queue: str = "default"
    priority: Priority = "medium"
    isolation: Isolation = "process"
    policy: Policy = Policy()
    keep: Keep = Keep()
