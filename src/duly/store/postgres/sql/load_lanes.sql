-- Stores lanes with their numbers; those that are given later are larger ones.
with r as materialized (
    select * from json_populate_recordset(null::{schema}.lane, :rows::json)
),
stored as (
    insert into {schema}.lane overriding system value select * from r
),
told as (
    update {schema}.lanes_version set number = number + 1
)
select setval('{schema}.lane_number_seq', max(number)) from r having count(*) > 0
