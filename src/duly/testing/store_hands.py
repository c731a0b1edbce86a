"""Hands for the checks of a store: what an engine asks of it, in few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias
from uuid import uuid4

import msgspec

from duly.core import lifecycle
from duly.core.action import Policy
from duly.core.order import Place, rank_terms
from duly.core.outcome import Outcome, Success
from duly.core.task import Change, EventEntry, Held, State
from duly.ports import CancelAsked, Reply, Request, Retried, Store, Submission, TaskRow, Want
from duly.testing.clock import FakeClock

HOUR = 3_600_000_000
MOMENT = 20_000
"""Microseconds that a check can wait for."""

POLICY = Policy()
LARGE = '"' + "large " * 200_000 + '"'


class Hands:
    """One store, and one node of it that is made when it is first needed."""

    def __init__(
        self,
        store: Store,
        clock: FakeClock | None = None,
        beside: Callable[[Store], Store] | None = None,
        new: Callable[[], Store] | None = None,
        *,
        lane: int | None = None,
    ) -> None:
        self.store = store
        self._clock = clock
        self._beside = beside
        self._new = new
        self.lane = store.lanes([("default", "test:check", 1)])[0].number if lane is None else lane
        self.node = 0
        self.number = 0

    # anybody
    def now(self) -> int:
        """The store's time."""
        return self.store.exchange(Request()).now

    def moment(self, long: int) -> int:
        """Return so many microseconds where the clock can be moved, else few that can be waited for."""
        return MOMENT if self._clock is None else long

    def wait_until(self, at: int) -> None:
        """Have this moment of the store's time come."""
        if self._clock is not None:
            self._clock.advance(max(0.0, (at - self.now()) / 1e6))
        while self.now() < at:
            pass  # a moment

    def beside(self) -> Store | None:
        """Open the store once more, as another process would; None if nobody has said how."""
        return None if self._beside is None else self._beside(self.store)

    def another(self) -> Hands:
        """Hands on another store, new and empty: not even the lane is there."""
        assert self._new is not None, "nobody has said how a store is made"
        return Hands(self._new(), self._clock, lane=self.lane)

    def submission(
        self,
        task_id: str = "",
        *,
        lane: int | None = None,
        state: State = State.READY,
        band: int = 1,
        place: Place = Place.BACK,
        run_at: int | None = None,
        delay: int | None = None,
        **more: Any,
    ) -> Submission:
        """Make a task to be stored."""
        terms = rank_terms(place, due=run_at, delay=delay)
        passport = {"options": None, "payload": "{}", "origin": "", "bell": "", "delay": delay, **more}
        return Submission(
            task_id or uuid4().hex, self.lane if lane is None else lane, state, band, *terms, run_at, **passport
        )

    def submit(self, task_id: str = "", **more: Any) -> str:
        """Store a task; return its id."""
        submission = self.submission(task_id, **more)
        reply = self.store.exchange(Request(submits=[submission]))
        assert reply.submitted == {submission.id: "created"}, f"a new task was answered by {reply.submitted}"
        return submission.id

    def cancel(self, task_id: str, reason: str = "no more") -> str | None:
        """Cancel a task; return the answer, None if there is none."""
        return self.store.exchange(Request(cancels=[CancelAsked(task_id, reason)])).cancelled.get(task_id)

    def retry(self, task_id: str) -> Retried | None:
        """Retry a task; return the answer, None if there is none."""
        return self.store.exchange(Request(retries=[task_id])).retried.get(task_id)

    def row(self, task_id: str) -> TaskRow:
        """Read a task, with what is too large to be read along."""
        rows = self.store.find([task_id])
        assert len(rows) == 1, f"find returned {len(rows)} rows for one id"
        row = rows[0]
        if row.payload == "":
            row = row._replace(payload=self.store.large(row.key, "payload"))
        return row if row.value != "" else row._replace(value=self.store.large(row.key, "value"))

    def seen(self, task_id: str) -> tuple[State, int]:
        """How a task stands: its state and attempts."""
        row = self.row(task_id)
        return State(row.state), row.attempt

    def told(self, task_id: str) -> list[str]:
        """The kinds of a task's events, in order, of which the first is not stored."""
        runs = self.store.events(task_id, 0, 100)
        entries = [(run.first + place, entry) for run in runs for place, entry in enumerate(decoded(run.body))]
        numbers = [number for number, _ in entries]
        assert numbers == list(range(2, 2 + len(numbers))), f"events of a task are numbered {numbers}"
        assert self.row(task_id).seq == 1 + len(numbers), "a task's counter is not the number of its last event"
        return [entry[0] for _, entry in entries]

    # a node
    def enlist(self) -> int:
        """Make another node; the hands work for it from now on."""
        self.node = self.store.enlist(uuid4().hex, "", "check")
        self.number = 0
        return self.node

    def exchange(self, **request: Any) -> Reply:
        """Exchange as the node."""
        if not self.node:
            self.enlist()
        reply = self.store.exchange(Request(node=self.node, number=self.number + 1, **request))
        self.number += reply.counted
        return reply

    def claim(self, most: int = 10, *, lanes: list[int] | None = None) -> list[Held]:
        """Claim for the node."""
        return self.exchange(wants=[Want(lanes or [self.lane], most)]).claims

    def claim_suspect(self, *, first: bool, most: int = 10) -> list[Held]:
        """Claim one suspect for the node, before any others or if there are none."""
        wants = [Want([self.lane], 1, suspect=True), Want([self.lane], most)]
        return self.exchange(wants=wants if first else wants[::-1]).claims

    def claim_one(self) -> Held:
        """Claim the one task that is ready."""
        claims = self.claim()
        assert len(claims) == 1, f"{len(claims)} tasks were claimed, where 1 is ready"
        return claims[0]

    def change(self, *changes: Change) -> Reply:
        """Say what became of tasks."""
        return self.exchange(changes=list(changes))

    def finish(self, held: Held, outcome: Outcome | None = None) -> Reply:
        """End an attempt: a success, if nothing else is said."""
        return self.change(ended(held, outcome))


def ended(held: Held, outcome: Outcome | None = None, *, before: list[EventEntry] | None = None) -> Change:
    """Decide what becomes of a task whose attempt came to this outcome; a success, if nothing is said."""
    return lifecycle.finish(held, POLICY, outcome or Success("1"), 7, 0.5, before=before, started_at=5)


def decoded(body: str) -> list[EventEntry]:
    """Return the entries of a run of events."""
    entries: list[EventEntry] = msgspec.json.decode(body, type=list[EventEntry])
    return entries


Check: TypeAlias = Callable[[Hands], None]
"""One part of the contract; its name says which."""
