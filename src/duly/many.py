"""Cancelling and retrying many tasks: all that fit a filter, a thousand in a transaction, so that nobody waits long.

Tasks are gone through from the newest to the oldest, each once: what is submitted meanwhile is left alone, so there is
an end, and whoever was interrupted says the same once more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, TypedDict, TypeVar

from duly.core import units
from duly.core.options import refuse_unknown
from duly.core.task import WAITING, State
from duly.engine.asking import Verb
from duly.engine.desk import MOST_CHANGED, After, CancelPage, Desk, RetryPage, check_reason, last_of
from duly.errors import OptionInvalid
from duly.listing import at_most, filter_of, states_of


class Which(TypedDict, total=False):
    """Which tasks are meant: all that is given must hold, as for `App.tasks`. `first`: only so many, the newest."""

    state: str | Sequence[str] | None
    action: str | None
    queue: str | None
    since: units.Moment | None
    due_before: units.Moment | None
    first: int | None


FILTERS = ("state", "action", "queue", "since", "due_before")


class CancelCount(NamedTuple):
    """How many tasks were `cancelled` before they began, and how many that run were `asked` to stop."""

    cancelled: int
    asked: int


class RetryCount(NamedTuple):
    """How many tasks were `retried`, and how many `refused` since they had changed by then."""

    retried: int
    refused: int


class _Page(Protocol):
    @property
    def after(self) -> After: ...


class _Seen(NamedTuple):
    """How a page of tasks stands: how many of them run."""

    tasks: int
    running: int
    after: After


P = TypeVar("P", bound=_Page)


class Many:
    """All tasks that fit a filter and are in states that a verb deals with: the `usual` ones unless others are named.

    Raises `OptionInvalid` and `ActionInvalid`.
    """

    def __init__(self, verb: str, which: Which, usual: Sequence[State], *possible: State) -> None:
        refuse_unknown("filter", {name: None for name in which if name not in (*FILTERS, "first")}, {})
        given: dict[str, Any] = {name: which.get(name) for name in FILTERS}
        if all(value is None for value in given.values()):
            raise OptionInvalid(f"which tasks? Give the id of one, or a filter of {', '.join(FILTERS)}")
        wanted = filter_of(**given)
        states = tuple(usual) if wanted.states is None else wanted.states
        if not {*states} <= {*usual, *possible}:
            self._refuse(verb, given["state"], (*usual, *possible))
        self._wanted = wanted._replace(states=states)
        self._first = at_most(which.get("first"))

    @staticmethod
    def _refuse(verb: str, names: str | Sequence[str], possible: Sequence[State]) -> NoReturn:
        """Raise `OptionInvalid` by the name that was given: waiting is several states."""
        given = [names] if isinstance(names, str) else names
        name = next(name for name in given if not {*states_of(name)} <= {*possible})
        can = " or ".join(state.name.lower() for state in possible)
        raise OptionInvalid(f"a task that is {name} cannot be {verb}: {can} can")

    def _all(self, turn: Callable[[After, int], Verb[P]]) -> Verb[list[P]]:
        """Do it page by page."""
        pages: list[P] = []
        after, left = None, self._first
        while left is None or left > 0:
            most = MOST_CHANGED if left is None else min(left, MOST_CHANGED)
            page = yield from turn(after, most)
            pages.append(page)
            after, left = page.after, None if left is None else left - most
            if after is None:
                break
        return pages

    def _look(self, desk: Desk) -> Verb[list[_Seen]]:
        def look(after: After, most: int) -> Verb[_Seen]:
            rows = yield from desk.page(self._wanted, "newest", after, most)
            standing = [row.state for row in rows if row.verdict is None]
            return _Seen(len(standing), standing.count(State.RUNNING), last_of(rows))

        return self._all(look)


class Cancels(Many):
    """A cancel of all tasks that fit."""

    def __init__(self, which: Which) -> None:
        super().__init__("cancelled", which, (*WAITING, State.RUNNING))

    def count(self, desk: Desk) -> Verb[CancelCount]:
        """Count what would be cancelled as things are."""
        pages = yield from self._look(desk)
        running = sum(page.running for page in pages)
        return CancelCount(sum(page.tasks for page in pages) - running, running)

    def carry_out(self, desk: Desk, reason: str, wait: float | None) -> Verb[CancelCount]:
        """Cancel them; with `wait`, until those that run are stopped, for so many seconds at most."""
        check_reason(reason)
        until = None if wait is None else time.monotonic() + wait

        def cancel(after: After, most: int) -> Verb[CancelPage]:
            return desk.cancel_page(self._wanted, after, most, reason)

        pages = yield from self._all(cancel)
        asked = [task_id for page in pages for task_id in page.asked]
        for task_id in asked:
            if until is not None:
                yield from desk.stopped(task_id, max(0.0, until - time.monotonic()))
        return CancelCount(sum(page.cancelled for page in pages), len(asked))


class Retries(Many):
    """A retry of all tasks that fit: of what failed, unless it is said that those with a date are meant."""

    def __init__(self, which: Which) -> None:
        super().__init__("retried", which, (State.FAILED,), State.SCHEDULED)

    def count(self, desk: Desk) -> Verb[RetryCount]:
        """Count what would be retried as things are."""
        return RetryCount(sum(page.tasks for page in (yield from self._look(desk))), 0)

    def carry_out(self, desk: Desk) -> Verb[RetryCount]:
        """Have them tried again."""

        def retry(after: After, most: int) -> Verb[RetryPage]:
            return desk.retry_page(self._wanted, after, most)

        pages = yield from self._all(retry)
        return RetryCount(sum(page.retried for page in pages), sum(page.refused for page in pages))
