"""What a node does, without an engine: it submits tasks, claims some and ends them, by a store's own verbs."""

from __future__ import annotations

import random

from duly.core.task import Held, State
from duly.ports import Request, Store
from duly.testing.store_hands import Hands, ended


class Chores:
    """One node on a store; `ids` are those of the tasks whose submit was answered."""

    def __init__(self, store: Store, dice: random.Random) -> None:
        self._hands = Hands(store)
        self._dice = dice
        self._held: list[Held] = []
        self.ids: list[str] = []

    def step(self) -> None:
        """Submit, claim, end: some of each, or none."""
        for _ in range(self._dice.randrange(3)):
            self._submit()
        self._claim(self._dice.randint(1, 5))
        self._end(self._dice.sample(self._held, self._dice.randint(0, len(self._held))))

    def finish(self) -> None:
        """End all that is held, and all that waits."""
        self._claim(100)
        while self._held:
            self._end(self._held)
            self._claim(100)

    def check(self) -> None:
        """Each task has ended once, in its first attempt, and nothing else was told of it."""
        for task_id in self.ids:
            assert self._hands.seen(task_id) == (State.SUCCEEDED, 1), self._hands.row(task_id)
            told = self._hands.told(task_id)
            assert told == ["success"], f"{task_id}: {told}"

    def _submit(self) -> None:
        submission = self._hands.submission()
        reply = self._hands.store.exchange(Request(submits=[submission]))
        assert list(reply.submitted) == [submission.id]
        self.ids.append(submission.id)

    def _claim(self, most: int) -> None:
        claims = self._hands.claim(most)
        known = {held.key for held in self._held}
        assert not known & {held.key for held in claims}, "a task is claimed twice"
        self._held += claims

    def _end(self, some: list[Held]) -> None:
        if some:
            reply = self._hands.change(*map(ended, some))
            assert (reply.done, reply.misses) == (True, [])
            self._held = [held for held in self._held if held not in some]
