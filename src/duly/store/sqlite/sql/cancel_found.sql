-- How the tasks that are to be cancelled stand.
-- rows: CancelAsked
select
    task.key, task.id, task.state, task.verdict, task.owed is not null,
    task.claim, task.attempt, task.seq, task.bell, c.value ->> @reason
from jsonb_each(:cancels) as c join task on task.id = c.value ->> @id
where c.value ->> @only is null
    or (task.verdict is null and task.state in (select value from json_each(c.value -> @only)))
