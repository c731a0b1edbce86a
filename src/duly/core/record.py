"""A task as one store hands it to another: all that is kept of it, in words that no database owns.

Texts are whole here, wherever a store keeps them. What is of no use elsewhere is left out: bells, for whoever could be
rung by them waits at the store of then.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import msgspec


class Run(NamedTuple):
    """A run of a task's events, numbered from `first`; `body` is a JSON array of them."""

    first: int
    claim: int
    attempt: int
    body: str


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A task with its history; the fields are those of every store's table of tasks. JSON is text."""

    key: int
    id: str
    lane: int
    state: int
    band: int
    rank: int
    claim: int
    node: int | None
    attempt: int
    deaths: int
    losses: int
    began: int
    suspect: int
    seq: int
    verdict: int | None
    cleanup: int
    submitted: int
    run_at: int | None
    started_at: int | None
    ended_at: int | None
    cause: str | None
    reason: str | None
    error: str | None
    info: str | None
    owed: str | None
    origin: str
    options: str | None
    value: str | None
    payload: str
    runs: list[Run] = []


COLUMNS = Record.__struct_fields__[:-1]
"""What of a record stands in the row of its task."""

MOST_BYTES = 16 * 1024 * 1024
"""Text of records that are handed over at once; a single record may be as large as it is."""

What: TypeAlias = Literal["leaving", "coming", "left"]


class Move(NamedTuple):
    """A store is part of a move, so nobody may write to it: it is `leaving` or has `left`, or what it gets is `coming`.

    `id` is the same in both stores, `other` is the url of the other one.
    """

    id: str
    what: What
    other: str

    def __str__(self) -> str:
        """Say it to whoever wanted to write."""
        return refusal(f"{self.what} {self.other}")


def refusal(told: str) -> str:
    """Say why nothing may be written, of what a trigger tells: what is moved, and the url of the other store.

    >>> refusal("left sqlite:////srv/new.db")
    'was moved to sqlite:////srv/new.db: use that, or open this one again by `duly copy --reopen`'
    """
    what, _, other = told.partition(" ")
    return _SAID[what].format(other)


_SAID: dict[str, str] = {
    "leaving": "is being copied to {0}, and takes nothing until that is done; the same `duly copy` goes on with it, "
    "`duly copy --reopen` gives it up",
    "coming": "is not complete: it is being copied from {0}; the same `duly copy` goes on with that",
    "left": "was moved to {0}: use that, or open this one again by `duly copy --reopen`",
}
