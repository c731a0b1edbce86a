-- Adds those lanes, rows of (queue, action, version), that are not there yet, and has nodes look at lanes anew.
with added as (
    insert into {schema}.lane (queue, action, version)
    select l ->> 0, l ->> 1, (l ->> 2)::integer
    from jsonb_array_elements(:lanes::jsonb) with ordinality as one (l, place)
    where not exists (
        select from {schema}.lane where (queue, action, version) = (l ->> 0, l ->> 1, (l ->> 2)::integer)
    )
    order by place
    on conflict do nothing
    returning 1
)
update {schema}.lanes_version set number = number + 1 where exists (select from added)
