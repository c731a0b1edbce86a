-- What a task's latest update told. As json, not jsonb: that would refuse a text with a NUL, wherever it stands.
select (said -> 2)::text
from {schema}.event, json_array_elements(body::json) with ordinality as one (said, place)
where task = (select key from {schema}.every_task where id = :id) and (said -> 0)::text = '"update"'
order by first desc, place desc
limit 1
