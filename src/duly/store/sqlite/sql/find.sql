-- Reads tasks by id, in the order of TaskRow; '' stands for a payload or value that is kept apart.
select
    key, id, queue, action, version, state, verdict, cause, reason, band, attempt, deaths, losses, suspect,
    submitted, run_at, started_at, ended_at, seq, options,
    iif(substr(payload, 1, 1) = '#', '', payload), origin, info, iif(substr(value, 1, 1) = '#', '', value), error
from task join lane on lane.number = task.lane
where id in (select value from json_each(:ids))
