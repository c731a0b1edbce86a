-- Takes from tasks that have ended, and not anew since, all but their ids and how they ended: (key, moment of its end).
update task set
    seq = 0, payload = 'null', value = null, error = null, info = null, owed = null, reason = null, options = null,
    origin = '', bell = '', run_at = null
from json_each(:tasks) as e
where task.key = e.value ->> 0 and task.ended_at = e.value ->> 1 and task.state > 3
