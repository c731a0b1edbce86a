-- Pauses a queue or an action; one that is paused already stays so since then.
with begun as (
    insert into {schema}.pause (kind, name, paused_at) values (:kind, :name, {schema}.clock())
    on conflict do nothing
    returning 1
)
update {schema}.lanes_version set number = number + 1 where exists (select from begun) returning number
