-- Carries out plain successes, nine changes of ten: as `change`, with the few columns that they touch.
-- rows: Succeeded
update task set
    state = 4,
    seq = seq + (c.value ->> @count),
    value = c.value ->> @value,
    started_at = ifnull(started_at, c.value ->> @started_at),
    ended_at = c.value ->> @ended_at,
    began = 1,
    suspect = 0,
    node = null
from jsonb_each(:changes) as c
where task.key = c.value ->> @key and task.claim = c.value ->> @claim and task.state = 3 and task.verdict is null
