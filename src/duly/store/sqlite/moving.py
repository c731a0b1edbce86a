"""Handing all that a store keeps to another one, and taking it; nobody else writes meanwhile.

What refuses them are triggers, which are there for as long as the store is part of a move: so nothing has to be asked
at any other time, and also those are refused who opened the store before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apsw

from duly.core.record import Move, Record
from duly.errors import StoreError
from duly.ports import Inventory
from duly.store.records import Columns, chunks_of, row_of, runs_of, unknown
from duly.store.sqlite.large import Large
from duly.store.sqlite.upkeep import Upkeep

GUARDED = ("lane", "node", "task", "event", "pause", "keeping")
_TRIGGER = """
create trigger moving_{table}_{change} before {change} on {table}
when exists (select 1 from moving where what <> 'loading') begin
    select raise(abort, {told});
end
"""


class Moving(Large, Upkeep):
    """The verbs of the port by which a store is moved."""

    def move(self, move: Move | None) -> None:
        """Have all that would write refused from now on, or no more."""
        self._transact(lambda _: self._move(move))

    def _move(self, move: Move | None) -> None:
        assert self._connection is not None
        self._run("unmoved")
        for table, change in _guards():
            self._connection.execute(f"drop trigger if exists moving_{table}_{change}")
        if move is not None:
            self._run("moved", **move._asdict())
            told = apsw.format_sql_value(f"{move.what} {move.other}")  # what is no literal older SQLites cannot read
            for table, change in _guards():
                self._connection.execute(_TRIGGER.format(table=table, change=change, told=told))

    def load(self, records: Sequence[Record], inventory: Inventory | None = None) -> None:
        """Store records as they are, but for those there are, and put an inventory in the place of what there is."""
        news = unknown(records, self.survey)
        rows = [row_of(record, self._keep_apart) for record in news]
        self._transact(lambda _: self._load(rows, runs_of(news), inventory))

    def _load(self, rows: list[Columns], runs: list[Columns], inventory: Inventory | None) -> None:
        assert self._connection is not None
        many = self._connection.executemany
        self._run("load_begin")
        if self._connection.changes() != 1:
            raise StoreError(f"{self.path}: takes no records: nothing is being moved to it")
        if inventory is not None:
            self._run("clear")
            many(self._sql["load_lanes"], [lane._asdict() for lane in inventory.lanes])
            many(self._sql["load_pauses"], [pause._asdict() for pause in inventory.pauses])
            many(self._sql["load_keeping"], [kept._asdict() for kept in inventory.keeping])
            many(self._sql["load_nodes"], [node._asdict() for node in inventory.nodes])
        many(self._sql["load"], rows)
        many(self._sql["load_runs"], runs)
        self._settle(chunks_of(rows))
        self._run("load_end")


def _guards() -> Iterator[tuple[str, str]]:
    for table in GUARDED:
        for change in ("insert", "update", "delete"):
            if (table, change) != ("node", "update"):  # as on a server, where it may still be noted that one is lost
                yield table, change
