"""What keeps a store in order: what its time is over for leaves it, in short transactions that wait for no disk.

What is done here may be lost with the server's power, and is then done again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress

from duly.core.keeping import Aged, Keep
from duly.errors import StoreError
from duly.ports import Finding
from duly.store.postgres.health import examine
from duly.store.postgres.session import Session, Statement
from duly.store.rows import text

EVENTS = 1_000
"""Runs of events that are deleted in one transaction."""

KEEPER_SECONDS = 180
"""Who keeps the store in order and was silent for so long has ended; it rests for a minute at most."""

SURE_SECONDS = 30.0
"""For how long who keeps the store in order takes that for granted."""


class Upkeep(Session):
    """The verbs of the port by which a store is kept in order."""

    _token = ""
    _sure_until = 0.0

    def tidy(self, *, wanted: bool = True) -> bool:
        """Be the one who keeps this store in order, if nobody else is; or be it no more."""
        now = time.monotonic()
        if not wanted:
            if self._token:
                self._transact(Statement("untidy", {"token": self._token}))
            self._sure_until, self._token = 0.0, ""
        elif now >= self._sure_until:
            self._token = self._token or os.urandom(8).hex()
            row = {"token": self._token, "lease": KEEPER_SECONDS * 1_000_000}
            (mine,) = self._transact(Statement("tidy", row))
            self._sure_until = now + SURE_SECONDS if mine else 0.0
        return now < self._sure_until

    def close(self) -> None:
        """Let go of the database; safe to call twice."""
        if self._token:
            self.patience = 0.0
            with suppress(StoreError):
                self.tidy(wanted=False)
        super().close()

    def keeping(self, told: Sequence[tuple[str, int, Keep]] = ()) -> dict[int, Keep]:
        """Return for how long the tasks of lanes are kept, after noting what is told: (action, version, keep)."""
        if told:
            keeps = text([[action, version, *keep] for action, version, keep in told])
            self._transact(Statement("keep", {"keeps": keeps}))
        return {lane: Keep(*keep) for lane, *keep in self._rows("keeping")}

    def survey(self, after: int, upto: int, most: int) -> list[Aged]:
        """Read what of tasks tells whether their time is over, with keys after one and up to another, in order."""
        return [Aged(*row) for row in self._rows("survey", after=after, upto=upto, most=most)]

    def submitted(self) -> int:
        """Return how many tasks were ever submitted; some that were known already count, too."""
        return int(self._rows("submitted")[0][0])

    def empty(self, tasks: Sequence[tuple[int, int]]) -> list[int]:
        """Take from tasks that ended at these moments all but their ids; return the chunks that nobody names now."""
        bindings = {"tasks": text(tasks) or "[]"}
        loose, _ = self._transact(Statement("loosen", bindings), Statement("empty", bindings), durable=False)
        return [number for (number,) in loose]

    def drop_history(self, keys: Sequence[int]) -> bool:
        """Delete some of the history of emptied tasks; whether there may be more of it."""
        (dropped,) = self._transact(Statement("drop_events", {"keys": list(keys), "most": EVENTS}), durable=False)
        return len(dropped) == EVENTS

    def remove(self, keys: Sequence[int]) -> int:
        """Remove emptied tasks that have no history left, but never the newest; return how many."""
        (removed,) = self._transact(Statement("remove", {"keys": list(keys)}), durable=False)
        return len(removed)

    def examine(self) -> list[Finding]:
        """Look at the store's health."""
        return self._insist(lambda connection, _: examine(connection, self.address))
