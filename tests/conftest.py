"""PostgreSQL, for the tests that ask for it; nothing of it is imported or started for others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.server import Databases, Postgres, Server


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
