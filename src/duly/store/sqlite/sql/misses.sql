-- Tells which changes would not apply, and how their tasks stand.
-- rows: Change
select c.key, c.value ->> @key, c.value ->> @claim, task.state, task.claim, task.verdict
from jsonb_each(:changes) as c left join task on task.key = c.value ->> @key
where task.key is null
    or task.claim <> c.value ->> @claim
    or task.state <> 3
    or (c.value ->> @guard <> 2 and (task.verdict is not null) <> (c.value ->> @guard))
