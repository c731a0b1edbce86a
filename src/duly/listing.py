"""Lists of tasks: what is asked for, and what is shown of each."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from duly.core import units
from duly.core.action import check_queue, parse_action
from duly.core.task import ENDED, WAITING, State, shown
from duly.engine.asking import Verb
from duly.engine.desk import PAGE, Desk
from duly.errors import OptionInvalid
from duly.history import when
from duly.ports import Filter, Paused, TaskRow


class TaskInfo(NamedTuple):
    """A task in a list. Times are aware, in UTC. `paused_since`: it waits, and its queue or action is paused."""

    id: str
    action: str
    version: int
    queue: str
    state: str
    cause: str | None
    priority: str
    attempts: int
    submitted_at: datetime
    run_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    paused_since: datetime | None = None


class PauseInfo(NamedTuple):
    """A queue or an action that is paused; the other one is None. The time is aware, in UTC."""

    queue: str | None
    action: str | None
    since: datetime


def paused_by(queue: str | None, action: str | None) -> tuple[Paused, str]:
    """Return what is to be paused or resumed; raises `OptionInvalid` unless that is just one, and `ActionInvalid`."""
    if (queue is None) == (action is None):
        raise OptionInvalid("what is to be paused or resumed is queue= or action=, one of them")
    return ("queue", check_queue(queue)) if action is None else ("action", str(parse_action(action)))


def pauses(desk: Desk) -> Verb[list[PauseInfo]]:
    """Read what is paused."""
    return [
        PauseInfo(
            queue=pause.name if pause.kind == "queue" else None,
            action=pause.name if pause.kind == "action" else None,
            since=when(pause.since),
        )
        for pause in (yield from desk.pauses())
    ]


def paused_since(queue: str, action: str, pauses: Sequence[PauseInfo]) -> datetime | None:
    """Return since when tasks of a queue and action are paused, by one of these or both; None if they are not."""
    return min((one.since for one in pauses if one.queue == queue or one.action == action), default=None)


class Listing:
    """Pages of the tasks that fit, `newest` first or by `date`, at most `first` tasks; raises `OptionInvalid`."""

    def __init__(
        self,
        state: str | Sequence[str] | None,
        action: str | None,
        queue: str | None,
        since: units.Moment | None,
        due_before: units.Moment | None,
        by: str,
        first: int | None,
    ) -> None:
        if by not in ("newest", "date"):
            raise OptionInvalid(f"bad order {by!r}: newest or date")
        self._wanted = filter_of(state, action, queue, since, due_before)
        self._by = by
        self._left = at_most(first)
        self._after: tuple[int, int] | None = None

    def next(self, desk: Desk) -> Verb[list[TaskInfo]]:
        """Read the next page; an empty one is the end."""
        most = PAGE if self._left is None else max(0, min(PAGE, self._left))
        rows = yield from desk.page(self._wanted, self._by, self._after, most)
        if rows:
            paused = (yield from pauses(desk)) if any(row.state in WAITING for row in rows) else []
            last = rows[-1]
            self._after = (last.run_at or 0 if self._by == "date" else last.key), last.key
            self._left = None if self._left is None else self._left - len(rows)
            return [_info_of(row, paused) for row in rows]
        return []


def filter_of(
    state: str | Sequence[str] | None,
    action: str | None,
    queue: str | None,
    since: units.Moment | None,
    due_before: units.Moment | None,
) -> Filter:
    """Return what is asked for as data; raises `OptionInvalid` and `ActionInvalid`."""
    now = datetime.now(UTC)
    return Filter(
        states=None if state is None else states_of(state),
        action=None if action is None else str(parse_action(action)),
        queue=None if queue is None else check_queue(queue),
        since=None if since is None else _since(since, now),
        due_before=None if due_before is None else units.moment(due_before, now, "due_before"),
    )


def at_most(first: Any) -> int | None:
    """Return how many are wanted, None for all, or raise `OptionInvalid`."""
    if first is not None and (isinstance(first, bool) or not isinstance(first, int) or first < 0):
        raise OptionInvalid(f"bad first {first!r}: a whole number of tasks, or None for all")
    return first


def _since(value: units.Moment, now: datetime) -> int:
    """Return a moment in the past: a length of time counts backwards from now."""
    if isinstance(value, str):
        with suppress(OptionInvalid):
            value = units.seconds(value, "since")
    if isinstance(value, int | float | timedelta) and not isinstance(value, bool):
        value = -value
    return units.moment(value, now, "since", "ago")


def states_of(names: str | Sequence[str]) -> tuple[int, ...]:
    """Return the states that are meant by one name or several; raises `OptionInvalid`."""
    if not isinstance(names, str | list | tuple | set | frozenset):
        raise OptionInvalid(f"bad state {names!r}: a name, or several in a list")
    found: list[int] = []
    for name in [names] if isinstance(names, str) else names:
        if name == "waiting":
            found += WAITING
        elif name == "ended":
            found += ENDED
        else:
            try:
                found.append(State[name.upper()])
            except (KeyError, AttributeError):
                if name == "cancelling":
                    raise OptionInvalid(f"bad state {name!r}: it is found by running or waiting") from None
                known = ", ".join(state.name.lower() for state in State)
                raise OptionInvalid(f"bad state {name!r}: {known}, waiting or ended") from None
    return tuple(found)


def _info_of(row: TaskRow, pauses: Sequence[PauseInfo]) -> TaskInfo:
    return TaskInfo(
        id=row.id,
        action=row.action,
        version=row.version,
        queue=row.queue,
        state=shown(row.state, row.verdict),
        cause=row.cause,
        priority=("high", "medium", "low")[row.band],
        attempts=row.attempt,
        submitted_at=when(row.submitted),
        run_at=None if row.run_at is None else when(row.run_at),
        started_at=None if row.started_at is None else when(row.started_at),
        ended_at=None if row.ended_at is None else when(row.ended_at),
        paused_since=paused_since(row.queue, row.action, pauses) if row.state in WAITING else None,
    )
