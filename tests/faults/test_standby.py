"""A standby has all that its primary has acknowledged, and can take its place."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.server import Postgres


def test_what_a_primary_acknowledged_is_on_its_standby_which_is_promoted_again_and_again(postgres: Postgres) -> None:
    primary = postgres.server()
    primary.run("create table kept (number int)")
    for number in range(2):
        standby = primary.standby()
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            standby.run("insert into kept values (-1)")
        primary.run("insert into kept values (%s)", number)
        primary.kill()
        standby.promote()
        primary.end()
        primary = standby
        assert primary.run("select count(*) from kept") == [(number + 1,)]
    primary.end()


def test_a_primary_acknowledges_nothing_that_its_standby_does_not_have(postgres: Postgres) -> None:
    primary = postgres.server()
    primary.run("create table kept (number int)")
    standby = primary.standby()
    standby.stop()
    with ThreadPoolExecutor() as pool:
        insert = pool.submit(primary.run, "insert into kept values (1)")
        with pytest.raises(TimeoutError):
            insert.result(0.3)
        standby.start()
        insert.result(60)
    assert standby.run("select number from kept") == [(1,)]
    standby.end()
    primary.end()
