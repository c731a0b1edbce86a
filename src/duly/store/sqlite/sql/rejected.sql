-- Writes late answers to the history, and nothing else.
-- rows: Rejection
insert into event (task, first, claim, attempt, body)
select
    task.key, task.seq - json_array_length(r.value -> @events) + 1, r.value ->> @claim, task.attempt, r.value ->> @events
from jsonb_each(:rejections) as r join task on task.key = r.value ->> @key and task.seq > 0
