-- Writes the events of changes that have been carried out; an attempt that was given back keeps its number here.
-- rows: Change
insert into event (task, first, claim, attempt, body)
select
    task.key, task.seq - (c.value ->> @count) + 1, task.claim, task.attempt - (c.value ->> @attempt), c.value ->> @events
from json_each(:changes) as c join task on task.key = c.value ->> @key
where c.value ->> @count > 0
