-- Which of these releases, rows of (key, event), were carried out though their answer was lost.
select event.task
from jsonb_array_elements(:releases::jsonb) as r
join {schema}.event on event.task = (r ->> 0)::bigint and event.body = r ->> 1
