"""What `duly doctor` says of a schema and its server."""

from __future__ import annotations

from typing import Any

from duly.ports import Finding
from duly.store.postgres.address import Address
from duly.store.postgres.connection import Connection

OLD_SECONDS = 600
"""A snapshot that somebody holds for so long keeps dead rows from being cleared away."""

_UNSEEN = "not known: grant pg_read_all_stats to this role, by which it sees others' sessions"

_ASK = """
select
    current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit'),
    current_setting('full_page_writes'), current_setting('autovacuum'),
    (select sum(pg_total_relation_size(c.oid)) from pg_class c join pg_namespace n on n.oid = relnamespace
        where nspname = %(schema)s and relkind = 'r'),
    (select n_live_tup from pg_stat_all_tables where schemaname = %(schema)s and relname = 'task'),
    (select n_dead_tup from pg_stat_all_tables where schemaname = %(schema)s and relname = 'task'),
    case when pg_has_role('pg_read_all_stats', 'usage') then coalesce((
        select max(extract(epoch from clock_timestamp() - xact_start))::bigint from pg_stat_activity
        where backend_xmin is not null and pid <> pg_backend_pid()
    ), 0) end
"""


def examine(connection: Connection, address: Address) -> list[Finding]:
    """Look at the health of a schema and its server."""
    row: Any = connection.execute(_ASK, {"schema": address.schema}).fetchone()
    version, fsync, commit, pages, vacuum, size, live, dead, oldest = row
    kind = "without" if connection.pooled else "with"
    durable = fsync == "on" and commit != "off" and pages == "on"
    return [
        Finding("postgresql", ok=True, text=f"PostgreSQL {version}, {kind} a session of its own"),
        Finding("durable", ok=durable, text=f"fsync {fsync}, synchronous_commit {commit}, full_page_writes {pages}"),
        Finding("vacuum", ok=vacuum == "on", text=f"autovacuum {vacuum}; {live or 0:,} live, {dead or 0:,} dead rows"),
        Finding(
            "snapshots",
            ok=(oldest or 0) < OLD_SECONDS,
            text=_UNSEEN if oldest is None else f"the oldest is {oldest:,} s old",
        ),
        Finding("size", ok=True, text=f"{(size or 0) / 2**20:,.1f} MiB in {address}"),
    ]
