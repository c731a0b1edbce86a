"""Handing all that a store keeps to another one, and taking it; nobody else writes meanwhile.

What refuses them are triggers, which are there for as long as the store is part of a move; see the other store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from duly.core.record import Move, Record
from duly.ports import Inventory, Kept, Lane, NodeRow, Pause
from duly.store.apart import named
from duly.store.postgres.large import Large
from duly.store.postgres.session import Statement
from duly.store.postgres.upkeep import Upkeep
from duly.store.records import Columns, chunks_of, of_one_load, records, row_of, runs_of, unknown


class Moving(Large, Upkeep):
    """The verbs of the port by which a store is moved."""

    def moving(self) -> Move | None:
        """Return which move this store is part of."""
        rows = self._rows("moving")
        return Move(*rows[0]) if rows else None

    def move(self, move: Move | None) -> None:
        """Have all that would write refused from now on, or no more."""
        if move is None:
            self._transact(Statement("analyze"))
            self._transact(Statement("unmoved"), Statement("unshut"))
        else:
            self._transact(Statement("unmoved"), Statement("moved", move._asdict()), Statement("shut"))

    def inventory(self) -> Inventory:
        """Return all that is kept beside tasks, in order."""
        return Inventory(
            [Lane(*row) for row in self._rows("lanes")],
            [Pause(*row) for row in self._rows("pauses")],
            [Kept(*row) for row in self._rows("kept")],
            [NodeRow(*row)._replace(bell="") for row in self._rows("nodes")],
        )

    def dump(self, after: int, most: int) -> list[Record]:
        """Return the records with keys after one, in order."""
        rows = of_one_load(self._rows("dump", after=after, most=most))
        runs = self._rows("dump_runs", lowest=rows[0][0], highest=rows[-1][0]) if rows else []
        return records(rows, runs, self._whole_of)

    def _whole_of(self, _key: int, stands: str) -> str:
        reference = named(stands)
        assert reference is not None
        return self._whole(reference)

    def load(self, records: Sequence[Record], inventory: Inventory | None = None) -> None:
        """Store records as they are, but for those there are, and put an inventory in the place of what there is."""
        news = unknown(records, self.survey)
        rows = [{**row_of(record, self._keep_apart), "bell": ""} for record in news]
        self._transact(
            Statement("load_begin"),
            *(_inventory(inventory) if inventory is not None else ()),
            Statement("load", {"rows": _text(rows)}),
            Statement("load_runs", {"rows": _text(runs_of(news))}),
            Statement("load_settle", {"chunks": chunks_of(rows)}),
            Statement("load_end"),
        )


def _inventory(inventory: Inventory) -> Iterator[Statement]:
    yield Statement("clear")
    for name, rows in inventory._asdict().items():
        yield Statement(f"load_{name}", {"rows": _text([row._asdict() for row in rows])})


def _text(rows: Sequence[Columns]) -> str:
    return msgspec.json.encode(rows).decode()
