"""Histories: what has happened to a task, as numbered events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeAlias, get_args

import msgspec

from duly.core.task import EventKind
from duly.engine.asking import Verb, Watch
from duly.engine.desk import Desk
from duly.ports import EventRow, TaskRow

EPOCH = datetime.fromtimestamp(0, UTC)

KINDS: tuple[str, ...] = get_args(EventKind)


class Event(NamedTuple):
    """One numbered line of a task's history; numbers have no gaps. `at` is aware, in UTC; `data` is JSON or None.

    The data of an `update` is an object with what was given of `data`, `fraction` and `message`.
    """

    number: int
    kind: str
    at: datetime
    attempt: int
    data: Any


def events_of(first: TaskRow | None, runs: Sequence[EventRow], after: int) -> list[Event]:
    """Return the events after a number of a task's row, which tells of the first one, and of runs."""
    events = unfolded(runs) if first is None else [first_event(first), *unfolded(runs)]
    return [event for event in events if event.number > after]


def first_event(row: TaskRow) -> Event:
    """Return a task's event number 1, which is nowhere but in its row."""
    return Event(1, "init", when(row.submitted), 0, {"origin": row.origin})


def history(desk: Desk, task_id: str) -> Verb[tuple[TaskRow, list[Event]]]:
    """Read a task, and all that has happened to it up to now."""
    row = yield from desk.find(task_id)
    row = yield from desk.whole(row, "payload", "value")
    events = [first_event(row)]
    while True:
        runs = yield from desk.runs(task_id, len(events))
        new = [event for event in unfolded(runs) if event.number > len(events)]
        if not new:
            return row, events
        events += new


Happened: TypeAlias = list[tuple[TaskRow, list[Event]]]


def happened(desk: Desk, seen: Mapping[str, int], patience: float) -> Verb[Happened]:
    """Read tasks, and of each what happened after the event whose number was seen; unknown ones are left out.

    If nothing has, wait for so many seconds at most until something does.
    """
    found = yield from _happened(desk, seen)
    if patience and not any(events for _, events in found) and (yield Watch(seen, patience)):
        found = yield from _happened(desk, seen)
    return found


def _happened(desk: Desk, seen: Mapping[str, int]) -> Verb[Happened]:
    rows: list[TaskRow] = yield lambda store: store.find(list(seen))
    news = []
    for row in rows:
        after = seen[row.id]
        runs = (yield from desk.runs(row.id, after)) if row.seq > after else []
        news.append((row, events_of(row if after == 0 else None, runs, after)))
    return news


def unfolded(runs: Sequence[EventRow]) -> list[Event]:
    """Return the single events of rows that each hold a run of them."""
    return [
        Event(run.first + place, kind, when(at), run.attempt, data)
        for run in runs
        for place, (kind, at, data) in enumerate(msgspec.json.decode(run.body))
    ]


def when(microseconds: int) -> datetime:
    """Return a moment of the store as an aware datetime in UTC."""
    return EPOCH + timedelta(microseconds=microseconds)
