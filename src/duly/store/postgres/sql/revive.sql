-- Brings back what had ended and is to be tried again, as it is; `retry` goes on from there.
-- rows: Release
with gone as (
    delete from {schema}.ended using jsonb_array_elements(:releases::jsonb) as r
    where ended.key = (r ->> @key)::bigint and ended.claim = (r ->> @claim)::integer
        and ended.state = (r ->> @found)::smallint and ended.seq > 0
    returning ended.*
)
insert into {schema}.task select * from gone
