"""Reading tasks: each query is a transaction of its own, and locks nothing."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from duly.ports import Glance, Tally
from duly.store.postgres.session import Session

_LAST = (1 << 31) - 1
_events = msgspec.json.Decoder(list[tuple[str, int, msgspec.Raw]]).decode


class Reading(Session):
    """The verbs of the port that read."""

    def glance(self, ids: Sequence[str]) -> list[Glance]:
        """Return how these tasks stand, in no order; unknown ones are left out."""
        return [Glance(*row) for row in self._rows("glance", ids=list(ids))]

    def last_update(self, task_id: str) -> str | None:
        """Return what a task's latest update told, as JSON text."""
        before = _LAST
        while rows := self._rows("last_update", id=task_id, before=before):
            for before, body in rows:  # noqa: B007 - where to go on
                for kind, _, told in reversed(_events(body)):
                    if kind == "update":
                        return bytes(told).decode()
        return None

    def stats(self) -> list[Tally]:
        """Count all tasks, as of one moment."""
        return [Tally(*row) for row in self._rows("stats")]

    _version = 0

    def version(self) -> int:
        """Return another number each time: whether somebody has written is not to be told without looking."""
        self._version += 1
        return self._version
