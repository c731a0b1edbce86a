"""Lanes, and which queues and actions operators have paused: what nodes read anew when its number has changed."""

from __future__ import annotations

from collections.abc import Sequence

from duly.ports import Lane, Paused
from duly.store.postgres.session import Session, Statement
from duly.store.rows import text


class Lanes(Session):
    """The verbs of the port that are about lanes and pauses."""

    def lanes(self, wanted: Sequence[tuple[str, str, int]] = ()) -> list[Lane]:
        """Return all lanes, after adding those wanted."""
        if wanted:
            self._transact(Statement("add_lanes", {"lanes": text(wanted)}))
        return [Lane(*row) for row in self._rows("lanes")]

    def pause(self, kind: Paused, name: str) -> bool:
        """Have nothing claimed of a queue or an action; False if it is paused already."""
        return self._said("pause", kind, name)

    def resume(self, kind: Paused, name: str) -> bool:
        """End a pause; False if there is none."""
        return self._said("resume", kind, name)

    def _said(self, query: str, kind: Paused, name: str) -> bool:
        (changed,) = self._transact(Statement(query, {"kind": kind, "name": name}))
        self._ring(self._ringer.of_nodes())
        return bool(changed)
