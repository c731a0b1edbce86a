"""The exchange: what a node has to say and would like to have, in one transaction at a time.

While one is under way the next gathers here, folded to one change per claim. The answer tells what did not apply: a
task that has another holder is let go of; one that got a verdict meanwhile is decided again.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from duly.core import lifecycle
from duly.core.outcome import Interrupted, Outcome
from duly.core.task import Change, State
from duly.engine.attempt import Attempt, change_of, loss_of, note_of
from duly.ports import Child, Miss, Rejection, Reply, Request, Want


class Said(msgspec.Struct, frozen=True, gc=False):
    """One change that was sent, and what it was decided from; no outcome: a note, or handed back."""

    attempt: Attempt
    outcome: Outcome | None
    change: Change


class Cycle:
    """What gathers for the next exchange, and what was sent in the last.

    `now` returns the store's time in microseconds, `let_go` is told of attempts that are another's by now.
    """

    def __init__(self, node: int, now: Callable[[], int], let_go: Callable[[Attempt], None]) -> None:
        self.node = node
        self._number = 1
        self._now = now
        self._let_go = let_go
        self._dice = random.Random()
        self._said: list[Said] = []
        self._noted: dict[int, Attempt] = {}
        self._cleared: set[int] = set()
        self._urgent = False
        self._rejections: list[Rejection] = []
        self._ring: set[str] = set()
        self._children: list[Child] = []
        self._sent: list[Said] = []
        self._request: Request | None = None

    @property
    def under_way(self) -> bool:
        """Whether an exchange has been sent and not been answered."""
        return self._request is not None

    def anything(self) -> bool:
        """Whether there is something to say."""
        return bool(self._said or self._noted or self._rejections)

    def patient(self) -> bool:
        """Whether what there is to say can wait a moment: progress can, a suspect's beginning cannot."""
        return not (self._said or self._rejections or self._urgent)

    def rights(self) -> set[tuple[int, int]]:
        """The (key, claim) of all that the store is being told of, or is to be told."""
        telling = {(said.attempt.held.key, said.attempt.held.claim) for said in (*self._said, *self._sent)}
        return telling | {(attempt.held.key, attempt.held.claim) for attempt in self._noted.values()}

    # saying
    def finish(self, attempt: Attempt, outcome: Outcome) -> None:
        """An attempt came to its outcome."""
        self.decide(attempt, change_of(attempt, outcome, self._now(), self._dice.random()), outcome)

    def lose(self, attempt: Attempt) -> None:
        """An attempt was lost with all that ran beside it."""
        self.decide(attempt, loss_of(attempt, self._now(), self._dice.random()))

    def decide(self, attempt: Attempt, change: Change, outcome: Outcome | None = None) -> None:
        """What becomes of an attempt's task is decided."""
        if attempt.in_vain:
            return
        self._noted.pop(attempt.held.key, None)
        if attempt.held.bell and change.state >= State.SUCCEEDED:
            self._ring.add(attempt.held.bell)
        if attempt.children and change.state == State.SUCCEEDED:
            self._children += [Child(change.key, change.claim, child) for child in attempt.children]
        self._said.append(Said(attempt, outcome, change))

    def note(self, attempt: Attempt, *, cleared: bool = False) -> None:
        """An attempt has told something, which is with it; or a suspect has proved itself."""
        if attempt.in_vain:
            return
        self._noted[attempt.held.key] = attempt
        self._urgent = self._urgent or cleared or attempt.held.suspect > 0
        if cleared:
            self._cleared.add(attempt.held.key)

    def hand_back(self, attempt: Attempt) -> None:
        """An attempt that has not begun goes back; if it was told to have, that has an end, too."""
        if attempt.began_at is None:
            self.decide(attempt, lifecycle.hand_back(attempt.held, self._now()))
        else:
            self.finish(attempt, Interrupted("it was not begun"))

    # exchanging
    def request(self, wants: list[Want]) -> Request:
        """Take all that has gathered into a request."""
        self._said += [
            Said(attempt, None, note_of(attempt, cleared=attempt.held.key in self._cleared))
            for attempt in self._noted.values()
        ]
        self._sent, self._said = self._said, []
        self._request = Request(
            node=self.node,
            number=self._number,
            changes=[said.change for said in self._sent],
            rejections=self._rejections,
            children=self._children,
            wants=wants,
            ring=self._ring,
        )
        self._noted, self._cleared, self._rejections, self._ring, self._children = {}, set(), [], set(), []
        self._urgent = False
        return self._request

    def again(self) -> Request:
        """The request that could not be carried out, to be sent once more."""
        assert self._request is not None
        return self._request

    def answered(self, reply: Reply) -> None:
        """Take in what came of the request."""
        self._number += reply.counted
        self._request = None
        if reply.misses:
            sent = {(said.change.key, said.change.claim): said for said in self._sent}
            for miss in reply.misses:
                self._missed(sent[miss.key, miss.claim], miss)
        self._sent = []

    def _missed(self, said: Said, miss: Miss) -> None:
        attempt, outcome, change = said.attempt, said.outcome, said.change
        if miss.state == State.RUNNING and miss.claim_now == miss.claim and miss.verdict is not None:
            attempt.held = msgspec.structs.replace(attempt.held, verdict=miss.verdict)
            attempt.events = [event for event in change.events if event[0] in ("start", "update", "info")]
            attempt.started_at, attempt.info = change.started_at, change.info
            if outcome is None:
                self.hand_back(attempt)
            else:
                self.finish(attempt, outcome)
            return
        if outcome is not None:
            event = ("rejected", self._now(), {"outcome": type(outcome).__name__.lower()})
            self._rejections.append(Rejection(miss.key, miss.claim, [event]))
        self._let_go(attempt)
