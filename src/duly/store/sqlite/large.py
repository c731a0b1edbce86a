"""What is too large for a row: written in pieces before the row that names them, and read after it."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import apsw
import msgspec

from duly.core.task import Held
from duly.errors import StoreBusy, StoreError, StoreFull
from duly.store.apart import Reference, named, pieces
from duly.store.rows import text
from duly.store.sqlite.file import StoreFile

TRIES = 3
"""How often a payload is read at most while the store is busy; each waits for as long as others are waited for."""


class Large(StoreFile):
    """Texts that are kept apart."""

    def _keep_apart(self, whole: str) -> str:
        """Write a text's chunks, each in a transaction of its own, and return what a row is to say of it."""
        chunks = [self._write(partial(self._add_chunk, piece), durable=False) for piece in pieces(whole)]
        return str(Reference(len(whole), chunks))

    def _add_chunk(self, data: str, connection: apsw.Connection) -> int:
        self._run("add_chunk", now=self._clock(), data=data)
        return connection.last_insert_rowid()

    def _settle(self, chunks: list[int]) -> None:
        assert self._connection is not None
        self._run("settle", chunks=text(chunks) or "[]")
        if self._connection.changes() != len(chunks):  # this machine slept, say
            raise StoreError(f"{self.path}: what was written an hour ago is swept by now; try again")

    def _read_payloads(self, claims: list[Held], places: list[int]) -> None:
        """Fill in payloads; a task whose cannot be read just now is left out, and later found not to be held here."""
        for place in reversed(places):
            payload = self._payload(claims[place])
            if payload is None:
                del claims[place]
            else:
                claims[place] = msgspec.structs.replace(claims[place], payload=payload)

    def _payload(self, held: Held) -> str | None:
        reference = named(held.payload)
        assert reference is not None
        for _ in range(TRIES):
            with suppress(StoreBusy, StoreFull):
                return self._whole(held.key, reference)
        return None

    def _whole(self, key: int, reference: Reference) -> str:
        if not reference.chunks:
            return "".join(payload for (payload,) in self._rows("blob", key=key))
        whole = "".join([data for (data,) in self._rows("chunks", chunks=text(reference.chunks))])
        return whole if len(whole) == reference.size else ""
