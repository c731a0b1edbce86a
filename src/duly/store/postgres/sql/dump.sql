-- Reads tasks in the order of Record, and how many bytes their histories have.
select
    key, id, lane, state, band, rank, claim, node, attempt, deaths, losses, began, suspect, seq, verdict, cleanup,
    submitted, run_at, started_at, ended_at, cause, reason, error, info, owed, origin, options, value, payload,
    coalesce((select sum(octet_length(body)) from {schema}.event where task = key), 0)
from {schema}.every_task where key > :after order by key limit :most
