"""Nothing that the store does relies on a session: behind a transaction pooler it keeps its contract."""

from __future__ import annotations

from duly.ports import Store
from duly.store.postgres.store import PostgresStore
from duly.testing import CHECKS, check_store
from tests.faults.pooler import Pooler
from tests.faults.run import Run
from tests.server import Server
from tests.store.fixed import FixedClock

LONG = {"many_fall_due_at_once"}


def test_the_contract_holds(own_server: Server, run: Run) -> None:
    clock = FixedClock(own_server.url())
    checks = [check for check in CHECKS if check.__name__ not in LONG]
    checks = run.dice.sample(checks, run.count(len(checks)))
    with Pooler(own_server) as pooler:

        def opened(schema: str) -> PostgresStore:
            store = PostgresStore(pooler.url(), schema)
            store.open()
            return store

        def new() -> PostgresStore:
            store = opened(f"s{run.dice.getrandbits(60)}")
            clock.fix(store.address.schema)
            return store

        def beside(store: Store) -> PostgresStore:
            assert isinstance(store, PostgresStore)
            return opened(store.address.schema)

        check_store(new, checks, clock=clock, beside=beside)
    run.figure("checks", len(checks))
