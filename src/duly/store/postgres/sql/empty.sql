-- Takes from tasks all but their ids and how they ended, as (key, moment of its end): who has ended anew has another one.
update {schema}.ended set
    seq = 0, payload = 'null', value = null, error = null, info = null, owed = null, reason = null, options = null,
    origin = '', bell = '', run_at = null
from jsonb_array_elements(:tasks::jsonb) as e
where ended.key = (e ->> 0)::bigint and ended.ended_at = (e ->> 1)::bigint
