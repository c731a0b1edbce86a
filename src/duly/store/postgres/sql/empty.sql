-- Takes from tasks all but their ids and how they ended, as (key, moment of its end): who has ended anew has another one.
with e as materialized (
    select (one ->> 0)::bigint as key, (one ->> 1)::bigint as ended_at from jsonb_array_elements(:tasks::jsonb) as one
)
update {schema}.ended set
    seq = 0, payload = 'null', value = null, error = null, info = null, owed = null, reason = null, options = null,
    origin = '', bell = '', run_at = null
from e
where ended.key = any(array(select key from e)) and ended.key = e.key and ended.ended_at = e.ended_at
