"""Handing all that a store keeps to another one, and taking it; nobody else writes meanwhile.

What refuses them are triggers, which are there for as long as the store is part of a move; see the other store.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

from duly.core.record import Move, Record
from duly.errors import StoreError
from duly.ports import Inventory
from duly.store.postgres.connection import ANSWER_SECONDS, READ_SECONDS, Connection
from duly.store.postgres.large import Large
from duly.store.postgres.session import Statement
from duly.store.postgres.upkeep import Upkeep
from duly.store.records import Columns, chunks_of, row_of, runs_of, unknown


class Moving(Large, Upkeep):
    """The verbs of the port by which a store is moved."""

    def move(self, move: Move | None) -> None:
        """Have all that would write refused from now on, or no more."""
        if move is None:
            self._analyze()
            self._transact(Statement("unmoved"), Statement("unshut"))
        else:
            self._transact(Statement("unmoved"), Statement("moved", move._asdict()), Statement("shut"))

    def _analyze(self) -> None:
        """Have the planner know of what has come; if that is not to be had it hears of it later, by itself."""
        said = [
            Statement("patience", {"patience": self._lock_patience()}),
            Statement("bound", {"milliseconds": f"{1000 * READ_SECONDS:.0f}"}),
            Statement("analyze"),
        ]

        def once(connection: Connection, _again: bool) -> None:
            with connection.waited_for(READ_SECONDS + ANSWER_SECONDS):
                self._ask_all(connection, said)

        with suppress(StoreError):
            self._insist(once)

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
