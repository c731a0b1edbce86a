"""A clock that a test moves, in the database: there alone a store on a server looks for the time."""

from __future__ import annotations

import psycopg

from duly.core import units
from duly.testing import FakeClock

TICK = 10_000
"""Microseconds from one transaction to the next: so that no two have the same moment, nor tasks of them."""

_MAKE = """
create table public.fixed_clock (now bigint not null);
create sequence public.fixed_tick increment 10000;
insert into public.fixed_clock values ({now});
"""

_FIX = """
create or replace function "{schema}".clock() returns bigint language plpgsql volatile as $$
declare
    moment text := nullif(current_setting('duly.moment', true), '');
begin
    if moment is null then
        select now + nextval('public.fixed_tick') into moment from public.fixed_clock;
        perform set_config('duly.moment', moment, true);
    end if;
    return moment::bigint;
end
$$
"""


class FixedClock(FakeClock):
    """The clock of the schemas of one database: it stands still but for a tick a transaction, until it is moved."""

    def __init__(self, database: str, start: units.Moment = "2030-01-01T00:00Z") -> None:
        super().__init__(start)
        self._database = database
        self._run(_MAKE.format(now=self()))

    def fix(self, schema: str) -> None:
        """Have the store in a schema go by this clock."""
        self._run(_FIX.format(schema=schema))

    def advance(self, by: units.Seconds) -> None:
        super().advance(by)
        self._set()

    def set_back(self, seconds: int) -> None:
        """Move it to a time that it has shown before."""
        self._now -= seconds * 1_000_000
        self._set()

    def _set(self) -> None:
        self._run(f"update public.fixed_clock set now = {self()}")

    def _run(self, statements: str) -> None:
        with psycopg.connect(self._database, autocommit=True) as connection:
            connection.execute(statements.encode())
