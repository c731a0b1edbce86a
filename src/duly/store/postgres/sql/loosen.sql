-- The chunks of tasks that are emptied, (key, moment of its end), are named by nobody from now on. The rows are locked
-- first: one that is tried again just now is in no need of being emptied, and goes on naming its own.
with e as materialized (
    select (one ->> 0)::bigint as key, (one ->> 1)::bigint as ended_at from jsonb_array_elements(:tasks::jsonb) as one
),
locked as materialized (
    select ended.payload, ended.value
    from {schema}.ended join e on ended.key = e.key and ended.ended_at = e.ended_at
    where ended.key = any(array(select key from e))
    order by ended.key
    for update of ended
)
insert into {schema}.loose (chunk)
select (named.value #>> '{}')::bigint
from locked
cross join lateral (values (locked.payload), (locked.value)) as texts (text)
cross join lateral jsonb_array_elements(
    case when left(texts.text, 1) = '#' then substr(texts.text, 2)::jsonb else '[]' end
) with ordinality as named (value, place)
where named.place > 1
on conflict do nothing
returning chunk
