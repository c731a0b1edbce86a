-- Brings back what had ended and is to be tried again, as it is; `retry` goes on from there.
-- rows: Release
with r as materialized (
    select (one ->> @key)::bigint as key, (one ->> @claim)::integer as claim, (one ->> @found)::smallint as found
    from jsonb_array_elements(:releases::jsonb) as one
),
gone as (
    delete from {schema}.ended using r
    where ended.key = any(array(select key from r)) and ended.key = r.key
        and ended.claim = r.claim and ended.state = r.found and ended.seq > 0
    returning ended.*
)
insert into {schema}.task select * from gone
