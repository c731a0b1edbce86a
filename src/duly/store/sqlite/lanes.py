"""Lanes, and which queues and actions operators have paused: what nodes read anew when its number has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from duly.ports import Lane, Paused
from duly.store.sqlite.file import StoreFile


class Lanes(StoreFile):
    """The verbs of the port that are about lanes and pauses."""

    def lanes(self, wanted: Sequence[tuple[str, str, int]] = ()) -> list[Lane]:
        """Return all lanes, after adding those wanted."""
        if wanted:
            self._transact(lambda _: self._add_lanes(wanted))
        return [Lane(*row) for row in self._rows("lanes")]

    def _add_lanes(self, wanted: Sequence[tuple[str, str, int]]) -> None:
        for queue, action, version in wanted:
            self._run("add_lane", queue=queue, action=action, version=version)

    def pause(self, kind: Paused, name: str) -> bool:
        """Have nothing claimed of a queue or an action; False if it is paused already."""
        return self._said(lambda _: self._run("pause", kind=kind, name=name, now=self._clock()))

    def resume(self, kind: Paused, name: str) -> bool:
        """End a pause; False if there is none."""
        return self._said(lambda _: self._run("resume", kind=kind, name=name))

    def _said(self, what: Callable[[apsw.Connection], Any]) -> bool:
        def carried_out(connection: apsw.Connection) -> bool:
            what(connection)
            return connection.changes() == 1

        changed = self._transact(carried_out)
        self._ring_nodes()
        return changed
