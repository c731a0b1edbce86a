-- Writes the events of changes that have been carried out; an attempt that was given back keeps its number here.
-- rows: Told
insert into event (task, first, claim, attempt, body)
select
    task.key, task.seq - (t.value ->> @count) + 1, t.value ->> @claim, task.attempt - (t.value ->> @given_back),
    t.value ->> @events
from jsonb_each(:told) as t join task on task.key = t.value ->> @key
