-- The chunks of tasks that are emptied, (key, moment of its end), are named by nobody from now on.
with e as materialized (
    select (one ->> 0)::bigint as key, (one ->> 1)::bigint as ended_at from jsonb_array_elements(:tasks::jsonb) as one
)
insert into {schema}.loose (chunk)
select (named.value #>> '{}')::bigint
from e
join {schema}.ended on ended.key = e.key and ended.ended_at = e.ended_at
cross join lateral (values (ended.payload), (ended.value)) as texts (text)
cross join lateral jsonb_array_elements(
    case when left(texts.text, 1) = '#' then substr(texts.text, 2)::jsonb else '[]' end
) with ordinality as named (value, place)
where ended.key = any(array(select key from e)) and named.place > 1
on conflict do nothing
returning chunk
