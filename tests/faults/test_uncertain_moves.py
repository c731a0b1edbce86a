"""A store moves to a server and back while answers to commits are lost: nothing is missing, and nothing came twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from duly.core.record import Record
from duly.engine import mover
from duly.engine.mover import Mover
from duly.ports import Inventory, Store
from duly.store.postgres.store import PostgresStore
from duly.store.sqlite.store import SqliteStore
from duly.testing.store_hands import Hands
from duly.testing.store_moves import dumped, fill
from tests.faults.proxy import Fate, Proxy
from tests.faults.run import Run
from tests.server import Server

LOST = 100


@contextmanager
def opened(store: Store) -> Iterator[Store]:
    store.open()
    try:
        yield store
    finally:
        store.close()


def kept(store: Store) -> tuple[list[Record], Inventory]:
    return dumped(store), store.inventory()


def test_what_moves_while_answers_are_lost_is_as_it_was(
    own_server: Server, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mover, "MOST", 1)
    moves = 0
    with Proxy(own_server) as proxy, opened(SqliteStore(f"{tmp_path}/first.db")) as first:
        fill(Hands(first))
        before = kept(first)
        proxy.decide(lambda _: run.dice.choice([Fate.SWALLOW, Fate.TEAR, Fate.PASS, Fate.PASS]))
        while proxy.hits < run.count(LOST):
            moves += 1
            with (
                opened(PostgresStore(proxy.url(), f"s{moves}")) as server,
                opened(SqliteStore(f"{tmp_path}/{moves}.db")) as back,
            ):
                first.move(None)
                carry(first, server)
                carry(server, back)
                assert kept(back) == before
                assert server.moving() is not None
    run.figure("answers to commits that were lost", proxy.hits, ">= 100")
    run.figure("moves there and back", moves)


def carry(source: Store, target: Store) -> None:
    moving = Mover(source, target, ("source", "target"))
    while moving.step():
        pass
