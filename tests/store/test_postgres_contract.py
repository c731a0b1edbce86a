"""The store on PostgreSQL keeps the contract of the port, by the server's clock and by another."""

from collections.abc import Iterator
from itertools import count

import pytest

from duly.ports import Store
from duly.store.postgres.store import PostgresStore
from duly.testing import CHECKS, Check, check_store
from tests.server import Databases
from tests.store.fixed import FixedClock

PORT = {name for name in vars(Store) if not name.startswith("_")} - {"patience"}

_numbers = count()


class Stores:
    """Stores in schemas of one database."""

    def __init__(self, url: str, clock: FixedClock | None = None, kind: type[PostgresStore] = PostgresStore) -> None:
        self.url = url
        self.clock = clock
        self.kind = kind

    def new(self) -> PostgresStore:
        """Open a store that is empty."""
        store = self.opened(f"s{next(_numbers)}")
        if self.clock is not None:
            self.clock.fix(store.address.schema)
        return store

    def beside(self, store: Store) -> PostgresStore:
        """Open the same one once more."""
        assert isinstance(store, PostgresStore)
        return self.opened(store.address.schema)

    def opened(self, schema: str) -> PostgresStore:
        """Open the store in a schema."""
        store = self.kind(self.url, schema)
        store.open()
        return store


@pytest.fixture(scope="module")
def url(server: Databases) -> Iterator[str]:
    """A database for all that follows."""
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture(scope="module")
def clock(url: str) -> FixedClock:
    return FixedClock(url)


@pytest.mark.parametrize("fixed", [False, True], ids=["real", "fixed"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds(check: Check, fixed: bool, url: str, clock: FixedClock) -> None:
    stores = Stores(url, clock if fixed else None)
    check_store(stores.new, [check], clock=stores.clock, beside=stores.beside)


def test_each_verb_of_the_port_is_asked_for(url: str, clock: FixedClock) -> None:
    asked: set[str] = set()

    class Noting(PostgresStore):
        def __getattribute__(self, name: str) -> object:
            asked.add(name)
            return super().__getattribute__(name)

    stores = Stores(url, clock, Noting)
    quick = [check for check in CHECKS if check.__name__ != "many_fall_due_at_once"]
    check_store(stores.new, quick, clock=clock, beside=stores.beside)
    assert PORT - {"open"} <= asked
