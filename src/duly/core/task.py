"""A task: its states, what its holder knows of it, and how it may change."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal, TypeAlias

import msgspec

from duly.errors import ErrorData


class State(IntEnum):
    """Where a task stands; a retry is `SCHEDULED` with attempts behind it. There are no others."""

    SCHEDULED = 0
    PARKED = 1
    READY = 2
    RUNNING = 3
    SUCCEEDED = 4
    FAILED = 5
    CANCELLED = 6
    EXPIRED = 7


WAITING = (State.SCHEDULED, State.PARKED, State.READY)
ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED)

Cause = Literal[
    "failure",
    "error",
    "timeout",
    "memory",
    "died",
    "invalid",
    "quarantined",
    "dropped",
    "start_timeout",
    "cancel",
    "expired",
]
EventKind = Literal[
    "init",
    "start",
    "step",
    "update",
    "note",
    "info",
    "drop",
    "return",
    "success",
    "fail",
    "retry",
    "snooze",
    "interrupt",
    "bump",
    "rescue",
    "verdict",
    "rejected",
    "cancel",
    "release",
    "expire",
    "end",
]


def shown(state: int, verdict: int | None) -> str:
    """Return a state's name as people see it: `cancelling` while a verdict owes cleanup.

    >>> shown(State.RUNNING, State.CANCELLED)
    'cancelling'
    """
    return "cancelling" if verdict is not None and state < State.SUCCEEDED else State(state).name.lower()


class Held(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A running task as its holder knows it; `(key, claim)` is the holder's right to it.

    `key` is the store's own short name of the task. `verdict` is the end that was decided while it ran, if any.
    `owed` names the cleanup that is still to be done before it may end.
    """

    key: int
    claim: int
    id: str
    lane: int
    band: int
    rank: int
    attempt: int
    deaths: int = 0
    losses: int = 0
    began: int = 0
    suspect: int = 0
    verdict: int | None = None
    cleanup: int = 0
    owed: tuple[str, ...] = ()
    submitted: int = 0
    bell: str = ""
    origin: str = ""
    options: str | None = None
    info: str | None = None
    payload: str = "null"

    @property
    def cleaning(self) -> bool:
        """Whether this attempt runs cleanup: a verdict stands, and it was claimed for what is owed."""
        return self.cleanup > 0


class Suspicion(IntEnum):
    """What two lost nodes make of a task: a suspect, and once it runs alone and watched, one that would be to blame."""

    NONE = 0
    SUSPECT = 1
    WATCHED = 2


class Guard(IntEnum):
    """What a change says about a verdict; it misses where that is not so, and is decided again."""

    NONE = 0
    STANDS = 1
    ANY = 2


EventEntry: TypeAlias = tuple[EventKind, int, Any]
"""(kind, microseconds of the store's clock, JSON value or None)."""


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What becomes of one running task, decided here and carried out by the store as one compare-and-swap.

    It applies where `(key, claim)` still holds and the verdict is as `guard` says. `attempt` and `cleanup` are added,
    so are `deaths` and `losses`; what is None stays as it is. `error` is an `Ending`, `value` and `info` are JSON text.
    """

    key: int
    claim: int
    count: int
    events: list[EventEntry]
    value: str | None
    started_at: int | None
    ended_at: int | None
    state: int
    guard: int
    began: int = 0
    attempt: int = 0
    deaths: int = 0
    losses: int = 0
    cleanup: int = 0
    band: int | None = None
    rank: int | None = None
    run_at: int | None = None
    suspect: int | None = None
    cause: str | None = None
    error: str | None = None
    info: str | None = None
    verdict: int | None = None
    owed: str | None = None


class Release(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a retry makes of one task, decided here and carried out by the store as one compare-and-swap.

    It applies where the task still has this claim and is in the state `found`. `anew`: what was counted and how it had
    ended is forgotten. What is None stays as it is.
    """

    key: int
    claim: int
    found: int
    state: int
    band: int
    rank: int
    run_at: int | None
    anew: bool
    events: list[EventEntry]


class Ending(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How an attempt ended that did not succeed: kept with the task and in its history.

    `kind` is a cause; `error` is the user's exception, `value` that of a `Failure`, `peak` and `limit` are bytes
    (of memory) or seconds (of time), `output` is the end of what the attempt printed.
    """

    kind: str
    error: ErrorData | None = None
    value: Any = None
    signal: int | None = None
    exit_code: int | None = None
    peak: int | None = None
    limit: float | None = None
    output: str | None = None
    reason: str | None = None
