-- Stores nodes, as which nobody lives, with their numbers; those that are given later are larger ones.
with r as materialized (
    select * from json_populate_recordset(null::{schema}.node, :rows::json)
),
stored as (
    insert into {schema}.node (number, name, bell, label, started_at, seen, lost, gone) overriding system value
    select number, name, bell, label, started_at, 0, true, true from r
)
select setval('{schema}.node_number_seq', max(number)) from r having count(*) > 0
