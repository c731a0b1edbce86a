-- What a task's latest update told.
select said.value ->> 2
from event join jsonb_each(event.body) as said
where event.task = (select key from task where id = :id) and said.value ->> 0 = 'update'
order by event.first desc, said.key desc
limit 1
