-- How the tasks that are to be retried stand: the time, id, the run of events that was told last of one that is ready, and
-- the fields of Standing.
select
    {schema}.clock(), id,
    case when state = 2 then (select body from {schema}.event where task = one.key order by first desc limit 1) end,
    key, claim, state, verdict, band, rank, options
from {schema}.every_task as one where id = any(:ids::text[]) and seq > 0
