-- The chunks of tasks that are emptied, (key, moment of its end), are named by nobody from now on.
insert into {schema}.loose (chunk)
select (named.value #>> '{}')::bigint
from jsonb_array_elements(:tasks::jsonb) as e
join {schema}.ended on ended.key = (e ->> 0)::bigint and ended.ended_at = (e ->> 1)::bigint
cross join lateral (values (ended.payload), (ended.value)) as texts (text)
cross join lateral jsonb_array_elements(
    case when left(texts.text, 1) = '#' then substr(texts.text, 2)::jsonb else '[]' end
) with ordinality as named (value, place)
where named.place > 1
on conflict do nothing
returning chunk
