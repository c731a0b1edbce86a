"""What is too large for a row: written in pieces before the row that names them, and read after it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from duly.core.task import Held
from duly.errors import StoreBusy, StoreFull, StoreUnavailable
from duly.store.apart import KEPT_SECONDS, Reference, named, pieces
from duly.store.postgres.connection import Connection
from duly.store.postgres.session import Session, Statement
from duly.store.postgres.wire import Row

NUMBER_BITS = 52
"""So many that no number comes twice, and that JSON carries each as it is."""


def added(piece: str) -> Statement:
    """Add a piece under a number that was never used, not even by a try before whose answer was lost."""
    return Statement("add_chunk", {"number": secrets.randbits(NUMBER_BITS), "data": piece})


class Large(Session):
    """Texts that are kept apart."""

    def drop_chunks(self, chunks: Sequence[int]) -> None:
        """Delete chunks that nobody names."""
        if chunks:
            self._transact(Statement("drop_chunks", {"chunks": list(chunks)}), durable=False)

    def _keep_apart(self, whole: str) -> str:
        """Write a text's chunks, and return what a row is to say of it; that row's commit brings all to the disk."""
        return str(Reference(len(whole), [self._add_chunk(piece) for piece in pieces(whole)]))

    def _add_chunk(self, piece: str) -> int:
        ((number,),) = self._insist(lambda connection, _: self._written(connection, piece))
        return int(number)

    def _written(self, connection: Connection, piece: str) -> list[Row]:
        return self._carry_out(connection, [added(piece)], durable=False)[0]

    def _whole(self, _key: int, reference: Reference) -> str:
        chunks = (self._rows("chunks", chunks=[number]) for number in reference.chunks)  # each is waited for by itself
        whole = "".join([data for rows in chunks for (data,) in rows])
        return whole if len(whole) == reference.size else ""

    def _read_payloads(self, claims: list[Held], places: list[int]) -> bool:
        """Fill in payloads; whether a task whose could not be read just now was left out, to be found as not held here.

        The node is not heard meanwhile: after a part of its lease the rest is left out, too.
        """
        until, read = time.monotonic() + self.lease / 3, dict[int, Held]()
        for place in places:
            if read and time.monotonic() >= until:
                break
            held = claims[place]
            reference = named(held.payload)
            assert reference is not None
            with suppress(StoreBusy, StoreFull, StoreUnavailable):
                read[place] = msgspec.structs.replace(held, payload=self._whole(held.key, reference))
        apart = set(places)
        claims[:] = [read.get(place, held) for place, held in enumerate(claims) if place in read or place not in apart]
        return len(read) < len(places)

    def _sweep(self) -> None:
        """Delete chunks that no row has named in time."""
        self.drop_chunks([number for (number,) in self._rows("forgotten", kept=KEPT_SECONDS * 1_000_000)])
