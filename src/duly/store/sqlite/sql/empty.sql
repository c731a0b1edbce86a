-- Takes from tasks all but their ids and how they ended, as (key, moment of its end): who has not ended has no such moment,
-- and who has ended anew another one.
update task set
    seq = 0, payload = 'null', value = null, error = null, info = null, owed = null, reason = null, options = null,
    origin = '', bell = '', run_at = null
from json_each(:tasks) as e
where task.key = e.value ->> 0 and task.ended_at = e.value ->> 1
