"""A task's history, walked through from the beginning: which events may come next, and where they lead.

This restates the table of the lifecycle in the plainest form, apart from the code that decides. A claim leaves no
event, nor does giving one back that was not begun; so between the events of two claims there may have been others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

SCHEDULED, PARKED, READY, RUNNING, SUCCEEDED, FAILED, CANCELLED, EXPIRED = range(8)
STATES = ("scheduled", "parked", "ready", "running", "succeeded", "failed", "cancelled", "expired")
DEADLY = ("died", "memory")
SUSPECT_LOSSES = 2
REDATING = ("retry", "snooze", "release")
"""Events by which a task has another date."""

Wrong = tuple[str, str]
"""An invariant, and what is wrong."""


class Run(NamedTuple):
    """A row of the history: events told under one claim and attempt, numbered from `first`."""

    first: int
    claim: int
    attempt: int
    events: list[tuple[str, int, Any]]


class Life:
    """Where a task stands by its history; `wrong` collects what could not have come next.

    `counted` are the attempts that are over and were not given back. `begun` is the claim that has begun and is not
    over, `over` the last one that is. Before `due` the next attempt may not begin; in `earliest` is the same by the
    number of the attempt, at its earliest: a number may come again. Where nodes are `leased` one may be lost only since
    it was not heard, which is no loss of what it held.
    """

    def __init__(self, run_at: int | None, submitted: int, *, leased: bool = False) -> None:
        self.state = READY if run_at is None else SCHEDULED
        self.leased = leased
        self.run_at = run_at
        self.due = run_at or submitted
        self.earliest = {1: self.due}
        self.seq = 1
        self.counted = self.deaths = self.losses = 0
        self.suspect: int | None = 0
        self.verdict: int | None = None
        self.cause: str | None = None
        self.over = 0
        self.begun: int | None = None
        self.asked: int | None = None
        self.started_at: int | None = None
        self.ended_at: int | None = None
        self.wrong: list[Wrong] = []

    def read(self, history: Iterable[Run]) -> list[Wrong]:
        """Walk through all of it; return what is wrong."""
        for run in history:
            if run.first != self.seq + 1:
                self._object("I7", f"event {run.first} comes after {self.seq}")
            self.seq = run.first + len(run.events) - 1
            for place, (kind, at, data) in enumerate(run.events):
                before = run.events[place - 1][0] if place else ""
                self._step(kind, at, data, run, before)
        return self.wrong

    def _object(self, invariant: str, text: str) -> None:
        self.wrong.append((invariant, text))

    @property
    def ended(self) -> bool:
        return self.state > RUNNING

    def _step(self, kind: str, at: int, data: Any, run: Run, before: str) -> None:
        step = getattr(self, f"_{kind}", None)
        if step is None:
            self._object("I6", f"there is no event {kind!r} yet")
        elif kind in ("rejected", "release"):
            step(at, data, run)
        elif self.ended:
            self._object(
                "I2" if kind in ("success", "fail", "cancel") else "I4", f"{kind} after it was {STATES[self.state]}"
            )
        elif kind == "cancel" and self.verdict is None and self.begun is None:
            self._cancel_waiting(at, run)
        elif kind == "verdict":
            step(at, data, run)
        else:
            if not (kind == "cancel" and before in ("interrupt", "rescue")):
                self._of_holder(kind, run)
            step(at, data, run, before)

    # who may speak
    def _of_holder(self, kind: str, run: Run) -> None:
        """A holder speaks: under a claim that is not over, and of the next attempt."""
        if run.claim <= self.over:
            self._object("I4", f"{kind} under claim {run.claim}, of which the last event was told before")
        if self.begun not in (None, run.claim):
            self._object("I3", f"{kind} under claim {run.claim} while claim {self.begun} has not ended")
        if run.attempt != self.counted + 1:
            self._object("I3", f"{kind} of attempt {run.attempt} after {self.counted} attempts")

    def _needs_begin(self, kind: str, run: Run) -> None:
        if self.begun != run.claim:
            self._object("I3", f"{kind} of an attempt (claim {run.claim}) without a start")

    def _needs_no_verdict(self, kind: str) -> None:
        if self.verdict is not None:
            self._object("I4", f"{kind} though it was to be {STATES[self.verdict]}")

    def _end_claim(self, run: Run, *, counted: bool) -> None:
        self.over, self.begun = run.claim, None
        self.counted += counted

    def _end(self, state: int, at: int, cause: str | None) -> None:
        self.state, self.ended_at, self.cause = state, at, cause

    # what an attempt tells
    def _start(self, at: int, _data: Any, run: Run, _before: str) -> None:
        if self.begun == run.claim:
            self._object("I3", f"claim {run.claim} begins twice")
        if at < self.due:
            self._object("I8", f"attempt {run.attempt} begins {self.due - at} µs before its time")
        self.begun = run.claim
        self.started_at = self.started_at or at
        if self.suspect:
            self.suspect = None  # watched, or cleared since: nothing is told of that

    def _update(self, _at: int, _data: Any, run: Run, _before: str) -> None:
        self._needs_begin("update", run)

    _note = _info = _update

    # how an attempt ends
    def _success(self, at: int, _data: Any, run: Run, _before: str) -> None:
        self._needs_begin("success", run)
        self._needs_no_verdict("success")
        self._end_claim(run, counted=True)
        self._end(SUCCEEDED, at, None)
        self.suspect = 0

    def _retry(self, _at: int, data: Any, run: Run, _before: str) -> None:
        self._needs_begin("retry", run)
        self._needs_no_verdict("retry")
        lost = data.get("reason") == "its node was lost"
        self._end_claim(run, counted=True)
        self.deaths += data["kind"] in DEADLY
        self._wait(data["run_at"])
        self.suspect = 1 if lost else 0

    def _fail(self, at: int, data: Any, run: Run, _before: str) -> None:
        self._needs_begin("fail", run)
        self._needs_no_verdict("fail")
        self._end_claim(run, counted=True)
        self.deaths += data["kind"] in DEADLY
        self._end(FAILED, at, data["cause"])
        self.suspect = 0

    def _snooze(self, _at: int, data: Any, run: Run, _before: str) -> None:
        self._needs_begin("snooze", run)
        self._needs_no_verdict("snooze")
        self._end_claim(run, counted=False)
        self._wait(data["until"])
        self.suspect = 0

    def _interrupt(self, _at: int, _data: Any, run: Run, _before: str) -> None:
        self._end_claim(run, counted=False)
        self.state = READY
        self.suspect = None  # one that was a suspect is one

    def _rescue(self, _at: int, data: Any, run: Run, _before: str) -> None:
        self._end_claim(run, counted=False)
        self.state = READY
        if data is None:
            if self.verdict is None and not self.leased:
                self._object("I6", "a rescue that counts no loss")
            return
        self.losses += 1
        if data["losses"] != self.losses:
            self._object("I7", f"the rescue counts {data['losses']} losses, the history {self.losses}")
        self.suspect = 1 if self.losses >= SUSPECT_LOSSES else self.suspect

    def _wait(self, until: int) -> None:
        self.state, self.run_at = SCHEDULED, until
        self._set_due(until)

    def _set_due(self, at: int) -> None:
        self.due = at
        attempt = self.counted + 1
        self.earliest[attempt] = min(at, self.earliest.get(attempt, at))

    # cancels and retries
    def _verdict(self, _at: int, _data: Any, run: Run) -> None:
        """A cancel that finds it running: from now on its holder may only end it."""
        if self.verdict is not None:
            self._object("I6", "a second verdict")
        if run.claim <= self.over or self.begun not in (None, run.claim):
            self._object("I6", f"a verdict under claim {run.claim}, which does not run")
        self.verdict, self.asked = CANCELLED, run.claim

    def _cancel(self, at: int, _data: Any, run: Run, before: str) -> None:
        """Its holder ends it: not counted if it had not begun, or was no real try."""
        if before not in ("interrupt", "rescue"):
            self._end_claim(run, counted=self.begun is not None)
        self._end(CANCELLED, at, "cancel")
        self.suspect = 0

    def _cancel_waiting(self, at: int, run: Run) -> None:
        if run.attempt == self.counted + 1 and run.claim > self.over:
            # its holder's: it was asked for before that could be written, and had not begun
            self._end_claim(run, counted=True)
        elif run.attempt != self.counted:
            self._object("I3", f"cancelled as attempt {run.attempt} after {self.counted} attempts")
        self._end(CANCELLED, at, "cancel")

    def _release(self, at: int, data: Any, run: Run) -> None:
        """Somebody retries it."""
        if data["from"] == "failed":
            if self.state != FAILED:
                self._object("I6", f"released as failed, and was {STATES[self.state]}")
            self.counted = self.deaths = self.losses = 0
            self.suspect, self.verdict, self.cause, self.ended_at = 0, None, None, None
            self.state = READY
            self._set_due(at)
            return
        if self.ended or self.begun is not None or self.verdict is not None:
            self._object("I6", f"released as {data['from']}, and was {STATES[self.state]}")
        self.state = PARKED if data["from"] == "parked" else READY
        self.run_at = at
        self._set_due(at)

    def _rejected(self, _at: int, data: Any, run: Run) -> None:
        """What an attempt said too late, and what changes nothing."""
        if not self.ended and self.verdict is None and run.claim == self.begun:
            self._object("I4", f"the answer of claim {run.claim}, which runs, was rejected")
