"""What tests of several rooms begin with. Nothing of PostgreSQL is imported or started for who does not ask for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from duly.ports import Store
    from tests.server import Databases, Postgres, Server

S = TypeVar("S", bound="Store")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """PostgreSQL's programs, and where its servers live."""
    from tests.server import Postgres

    with Postgres() as postgres:
        yield postgres


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Databases:
    """A server for whoever leaves it as it is: that of `DULY_TEST_PG`, or one of the session's own."""
    from tests.server import GIVEN, Databases

    given = os.environ.get(GIVEN)
    if given:
        return Databases(given)
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.server()


@pytest.fixture
def database(server: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    name = server.create_database()
    yield server.url(name)
    server.drop_database(name)


@pytest.fixture
def own_server(postgres: Postgres) -> Iterator[Server]:
    """A server of the test's own, to do with as it likes."""
    server = postgres.server()
    yield server
    server.end()


@pytest.fixture
def use() -> Iterator[Callable[[S], S]]:
    """Opens a store, and closes it in the end."""
    with ExitStack() as stores:

        def use_it(store: S) -> S:
            stores.callback(store.close)
            store.open()
            return store

        yield use_it
