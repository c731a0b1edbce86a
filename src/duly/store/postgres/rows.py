"""Requests as the rows that the queries read: one JSON text a statement, in which events are text once more.

A document of jsonb refuses a NUL anywhere in it, and a task may well tell one: text within text is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from duly.core.task import ENDED, Change, Guard, Release, State
from duly.errors import StoreError
from duly.ports import CancelAsked, Child, Rejection, Submission
from duly.store.rows import folded, text

_encode = msgspec.json.encode


class Succeeded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A plain success."""

    key: int
    claim: int
    count: int
    value: str | None
    started_at: int | None
    ended_at: int | None
    events: str


class Late(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A late answer."""

    key: int
    claim: int
    count: int
    events: str


STRUCTS: dict[str, type[msgspec.Struct]] = {
    "Change": Change,
    "Succeeded": Succeeded,
    "Submission": Submission,
    "CancelAsked": CancelAsked,
    "Release": Release,
    "Late": Late,
}


class Batch:
    """Changes, encoded: plain successes apart from the others; `over` are the keys of those others that end."""

    def __init__(self, changes: Sequence[Change]) -> None:
        if len({(change.key, change.claim) for change in changes}) < len(changes):
            raise StoreError("two changes of one claim in one request")
        plain: list[Succeeded] = []
        others: list[Change] = []
        succeeded, unguarded = State.SUCCEEDED, Guard.NONE  # to look up an enum's member takes as long as the rest
        for change in changes:
            if change.state == succeeded and change.guard == unguarded and change.info is None and change.count:
                events = _encode(change.events).decode()
                plain.append(
                    Succeeded(
                        change.key, change.claim, change.count, change.value, change.started_at, change.ended_at, events
                    )
                )
            else:
                others.append(change)
        self.plain = text(plain)
        self.others = text([_with_text(change) for change in others])
        self.over = [change.key for change in others if change.state in ENDED]


def late(rejections: Sequence[Rejection]) -> str:
    """Return late answers as rows, one per task."""
    return text([Late(one.key, one.claim, len(one.events), _text(one.events)) for one in folded(rejections)])


def released(releases: Sequence[Release]) -> str:
    """Return releases as rows."""
    return text([_with_text(release) for release in releases])


def events_of(releases: Sequence[Release]) -> str:
    """Return what releases write to the history: rows of (key, event)."""
    return text([(release.key, _text(release.events)) for release in releases])


def parents(children: Sequence[Child]) -> str:
    """Return whose children tasks are: by id, the (key, claim) of each parent."""
    found: dict[str, list[tuple[int, int]]] = {}
    for child in children:
        found.setdefault(child.submission.id, []).append((child.key, child.claim))
    return _encode(found).decode()


def _with_text(row: Change | Release) -> list[Any]:
    """The fields of a row, with its events as text."""
    return [_text(value) if name == "events" else value for name, value in msgspec.structs.asdict(row).items()]


def _text(events: Sequence[Any]) -> str:
    return _encode(events).decode()
