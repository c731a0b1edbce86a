-- Stores tasks as they stood elsewhere, named columns in rows; keys that are given later are larger ones.
with r as materialized (
    select * from json_populate_recordset(null::{schema}.task, :rows::json)
),
live as (
    insert into {schema}.task select * from r where state <= 3 order by key on conflict (key) do nothing
),
over as (
    insert into {schema}.ended select * from r where state > 3 order by key on conflict (key) do nothing
)
select setval('{schema}.task_key_seq', greatest((select last_value from {schema}.task_key_seq), max(key)))
from r having count(*) > 0
