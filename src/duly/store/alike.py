"""What every store reads alike: by queries of the same names, whose rows have the same columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from duly.core.record import MOST_BYTES, Move, Record
from duly.ports import EventRow, Filter, Inventory, Kept, Lane, NodeRow, Part, Pause, TaskRow
from duly.store.apart import Reference, named
from duly.store.migrations import Migration, refuse_newer
from duly.store.records import of_one_load, records

_BEYOND = 1 << 62
"""Above all keys and dates; less than all, with a minus."""


class Alike(ABC):
    """The verbs of the port that a store has as soon as it can carry out its queries."""

    _steps: Sequence[Migration]
    """The steps of the schema that are known here."""

    _where: str
    """What people call the store."""

    @abstractmethod
    def _rows(self, query: str, /, **bindings: Any) -> list[Any]:
        """Carry out one query, as a transaction of its own."""

    @abstractmethod
    def _several(self, values: Sequence[str | int]) -> object:
        """Return several values as queries take them."""

    @abstractmethod
    def _whole(self, key: int, reference: Reference) -> str:
        """Read a task's text that is kept apart; what is damaged or gone is no JSON, which ends a task as invalid."""

    def check_age(self) -> None:
        """Raise `StoreTooNew` if a newer duly has contracted the store since it was opened."""
        refuse_newer(self._rows("steps"), self._steps, self._where)

    def find(self, ids: Sequence[str]) -> list[TaskRow]:
        """Return the tasks with these ids, in no order; unknown ones are left out."""
        return [TaskRow(*row) for row in self._rows("find", ids=self._several(ids))]

    def tasks(self, wanted: Filter, by: str, after: tuple[int, int] | None, most: int) -> list[TaskRow]:
        """Return a page of tasks, `newest` first or by `date`."""
        states = None if wanted.states is None else self._several(wanted.states)
        bindings = {**wanted._asdict(), "states": states, "most": most}
        if by == "date":
            at, key = after or (-_BEYOND, 0)
            return [TaskRow(*row) for row in self._rows("tasks_date", at=at, key=key, **bindings)]
        key = after[1] if after else _BEYOND
        return [TaskRow(*row) for row in self._rows("tasks_newest", key=key, **bindings)]

    def events(self, task_id: str, after: int, most: int) -> list[EventRow]:
        """Return runs of a task's events that hold some numbered above `after`, in order."""
        return [EventRow(*row) for row in self._rows("events", id=task_id, after=after, most=most)]

    def large(self, key: int, what: Part) -> str:
        """Return a task's payload or value, where `find` has "" for it."""
        rows = self._rows("large", key=key, what=what)
        stands = rows[0][0] if rows else None
        if stands is None:
            return ""
        reference = named(stands)
        return str(stands) if reference is None else self._whole(key, reference)

    def nodes(self) -> list[NodeRow]:
        """Return all nodes that are enlisted."""
        return [NodeRow(*row) for row in self._rows("nodes")]

    def pauses(self) -> list[Pause]:
        """Return what is paused."""
        return [Pause(*row) for row in self._rows("pauses")]

    # moving
    def moving(self) -> Move | None:
        """Return which move this store is part of."""
        rows = self._rows("moving")
        return Move(*rows[0]) if rows else None

    def inventory(self) -> Inventory:
        """Return all that is kept beside tasks, in order."""
        return Inventory(
            [Lane(*row) for row in self._rows("lanes")],
            self.pauses(),
            [Kept(*row) for row in self._rows("kept")],
            [node._replace(bell="") for node in self.nodes()],
        )

    def dump(self, after: int, most: int) -> list[Record]:
        """Return the records with keys after one, in order."""
        rows = of_one_load(self._rows("dump", after=after, most=most, most_bytes=MOST_BYTES))
        runs = self._rows("dump_runs", lowest=rows[0][0], highest=rows[-1][0]) if rows else []
        return records(rows, runs, self._whole)
