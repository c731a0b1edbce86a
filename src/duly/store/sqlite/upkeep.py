"""What keeps a store in order: what its time is over for leaves it, in transactions too short for anybody to notice.

Whatever is done here may be lost with the machine's power, and is then done again: none of it waits for the disk.
"""

from __future__ import annotations

from collections.abc import Sequence

from duly.core.keeping import Aged, Keep
from duly.ports import Finding
from duly.store.apart import KEPT_SECONDS
from duly.store.rows import text
from duly.store.sqlite.connection import translated
from duly.store.sqlite.file import StoreFile
from duly.store.sqlite.health import examine

KEEPER = -500
"""Whoever keeps the store in order holds the byte of a node that there is not."""

EVENTS = 1_000
"""Runs of events that are deleted in one transaction."""


class Upkeep(StoreFile):
    """The verbs of the port by which a store is kept in order."""

    _keeper = False

    def tidy(self, *, wanted: bool = True) -> bool:
        """Be the one who keeps this store in order, if no other process is; or be it no more."""
        if self._lockfile is not None and wanted and not self._keeper:
            self._keeper = self._lockfile.live(KEEPER)
        if self._lockfile is not None and self._keeper and not wanted:
            self._lockfile.die(KEEPER)
            self._keeper = False
        return self._keeper

    def close(self) -> None:
        """Let go of the file; safe to call twice."""
        self.tidy(wanted=False)
        super().close()

    def keeping(self, told: Sequence[tuple[str, int, Keep]] = ()) -> dict[int, Keep]:
        """Return for how long the tasks of lanes are kept, after noting what is told: (action, version, keep)."""
        keeps = text([[action, version, *keep] for action, version, keep in told])
        if keeps and self._rows("news_of_keep", keeps=keeps)[0][0]:
            self._transact(lambda _: self._run("keep", keeps=keeps))
        return {lane: Keep(*keep) for lane, *keep in self._rows("keeping")}

    def survey(self, after: int, upto: int, most: int) -> list[Aged]:
        """Read what of tasks tells whether their time is over, with keys after one and up to another, in order."""
        rows = self._rows("survey", after=after, upto=upto, most=most)
        return [
            Aged(key, lane, state, submitted, ended, bool(emptied))
            for key, lane, state, submitted, ended, emptied in rows
        ]

    def submitted(self) -> int:
        """Return how many tasks were ever submitted."""
        return int(self._rows("newest")[0][0])

    def empty(self, tasks: Sequence[tuple[int, int]]) -> list[int]:
        """Take from tasks that ended at these moments all but their ids; return the chunks that nobody names now."""
        return self._transact(lambda _: self._empty(text(tasks)), durable=False)

    def _empty(self, tasks: str) -> list[int]:
        chunks = [number for (number,) in self._run("loosen", tasks=tasks).fetchall()]
        self._run("empty", tasks=tasks)
        self._run("drop_blobs", tasks=tasks)
        return chunks

    def drop_history(self, keys: Sequence[int]) -> bool:
        """Delete some of the history of emptied tasks; whether there may be more of it."""
        return self._transact(lambda _: self._drop_history(text(keys)), durable=False)

    def _drop_history(self, keys: str) -> bool:
        assert self._connection is not None
        self._run("drop_events", keys=keys, most=EVENTS)
        return self._connection.changes() == EVENTS

    def drop_chunks(self, chunks: Sequence[int]) -> None:
        """Delete chunks that nobody names."""
        if chunks:
            self._transact(lambda _: self._forget(text(chunks)), durable=False)

    def remove(self, keys: Sequence[int]) -> int:
        """Remove emptied tasks that have no history left, but never the newest; return how many."""
        return self._transact(lambda _: self._remove(text(keys)), durable=False)

    def _remove(self, keys: str) -> int:
        assert self._connection is not None
        self._run("remove", keys=keys)
        return self._connection.changes()

    def examine(self) -> list[Finding]:
        """Look at the file's health; reads all of it."""
        connection = self._connected()
        with translated(self.path, connection):
            return examine(connection, self.path)

    def _sweep(self) -> None:
        """Delete chunks that no row has named in time."""
        before = self._clock() - KEPT_SECONDS * 1_000_000
        self.drop_chunks([number for (number,) in self._rows("forgotten", before=before)])

    def _forget(self, chunks: str) -> None:
        self._run("drop_chunks", chunks=chunks)
        self._run("settle", chunks=chunks)
