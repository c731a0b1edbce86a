-- The chunks of tasks that are emptied, (key, moment of its end), are named by nobody from now on.
insert or ignore into loose (chunk)
select named.value
from json_each(:tasks) as e
join task on task.key = e.value ->> 0 and task.ended_at = e.value ->> 1
join json_each(
    json_array(
        json(iif(substr(payload, 1, 1) = '#', substr(payload, 2), '[]')),
        json(iif(substr(task.value, 1, 1) = '#', substr(task.value, 2), '[]'))
    )
) as texts
join json_each(texts.value) as named
where named.key > 0
returning chunk
