"""Changes as the rows that the queries read: for each statement just the columns it uses, since each one costs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from duly.core.task import Change, Guard, State

_encode = msgspec.json.encode


class Succeeded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A plain success."""

    key: int
    claim: int
    count: int
    value: str | None
    started_at: int | None
    ended_at: int | None


class Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The events of a change, as JSON text."""

    key: int
    claim: int
    count: int
    given_back: int
    events: str


class Batch:
    """Changes, encoded: plain successes apart from the others, and the events of both."""

    def __init__(self, changes: Sequence[Change]) -> None:
        plain: list[Succeeded] = []
        others: list[Change] = []
        told: list[Told] = []
        for change in changes:
            if change.state == State.SUCCEEDED and change.guard == Guard.NONE and change.info is None:
                plain.append(
                    Succeeded(change.key, change.claim, change.count, change.value, change.started_at, change.ended_at)
                )
            else:
                others.append(change)
            if change.count:
                events = _encode(change.events).decode()
                told.append(Told(change.key, change.claim, change.count, change.attempt, events))
        self.plain_count, self.others_count = len(plain), len(others)
        self.plain = text(plain)
        self.others = text(others)
        self.told = text(told)


def text(rows: Sequence[object]) -> str:
    """Return rows as JSON text, or "" if there are none."""
    return _encode(rows).decode() if rows else ""
