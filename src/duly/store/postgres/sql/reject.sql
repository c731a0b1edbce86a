-- Writes late answers to the history, and nothing else; what was emptied takes none.
-- rows: Late
with r as materialized (
    select
        (one ->> @key)::bigint as key, (one ->> @claim)::integer as claim, (one ->> @count)::integer as count,
        one ->> @events as events
    from jsonb_array_elements(:rejections::jsonb) as one
),
live as (
    update {schema}.task set seq = seq + r.count from r where task.key = any(array(select key from r)) and task.key = r.key
    returning task.key, task.seq, task.attempt
),
over as (
    update {schema}.ended set seq = seq + r.count from r
    where ended.key = any(array(select key from r)) and ended.key = r.key and seq > 0
    returning ended.key, ended.seq, ended.attempt
)
insert into {schema}.event (task, first, claim, attempt, body)
select key, seq - r.count + 1, r.claim, attempt, r.events
from (select * from live union all select * from over) as told join r using (key)
