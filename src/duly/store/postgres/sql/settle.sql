-- Notes that rows name chunks now. Of rows (id or null, key or null, text) those count that this transaction has written;
-- what was swept meanwhile cannot be named any more.
with named as materialized (
    select (c.value #>> '{}')::bigint as chunk
    from jsonb_array_elements(:rows::jsonb) as r
    cross join lateral jsonb_array_elements(substr(r ->> 2, 2)::jsonb) with ordinality as c (value, place)
    where c.place > 1
        and (
            exists (select from {schema}.every_task where id = any(array[r ->> 0]) and payload = r ->> 2)
            or exists (select from {schema}.every_task where key = any(array[(r ->> 1)::bigint]) and value = r ->> 2)
        )
),
settled as (
    delete from {schema}.loose where chunk = any(array(select chunk from named)) returning chunk
)
select {schema}.refuse('swept') where exists (
    select from named
    where not exists (select from settled where settled.chunk = named.chunk)
        and (
            exists (select from {schema}.loose where loose.chunk = named.chunk)
            or not exists (select from {schema}.chunk where number = named.chunk)
        )
)
