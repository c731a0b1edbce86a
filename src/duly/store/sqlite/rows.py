"""Changes as the rows that the queries read: for each statement just the columns it uses, since each one costs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from duly.core.task import Change, Guard, State
from duly.ports import Miss, Request
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
        succeeded, unguarded = State.SUCCEEDED, Guard.NONE  # to look up an enum's member takes as long as the rest
        for change in changes:
            if change.state == succeeded and change.guard == unguarded and change.info is None:
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


class Rows:
    """What a request has to write, encoded before the write lock is taken.

    `any` tells whether there is anything, `events` whether some of it is told in a task's history.
    """

    def __init__(self, request: Request) -> None:
        self.batch = Batch(request.changes)
        self.rejections = text(folded(request.rejections))
        self.cancels = text(request.cancels)
        self.retries = text(request.retries)
        self.submits = text(request.submits)
        self.any = not request.empty()
        self.events = bool(request.changes or request.rejections or request.cancels or request.retries)


def without_orphans(request: Request, misses: Sequence[Miss]) -> Request:
    """Return the request without the submissions of those whose changes did not apply."""
    missed = {(miss.key, miss.claim) for miss in misses}
    kept = {child.submission.id for child in request.children if (child.key, child.claim) not in missed}
    orphans = {child.submission.id for child in request.children} - kept
    return msgspec.structs.replace(request, submits=[one for one in request.submits if one.id not in orphans])
