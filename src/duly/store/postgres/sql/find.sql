-- Reads tasks by id, in the order of TaskRow; '' stands for a payload or value that is kept apart.
select
    key, id, queue, action, version, state, verdict, cause, reason, band, attempt, deaths, losses, suspect,
    submitted, run_at, started_at, ended_at, seq, options,
    case when left(payload, 1) = '#' then '' else payload end, origin, info,
    case when left(value, 1) = '#' then '' else value end, error
from {schema}.every_task join {schema}.lane on lane.number = every_task.lane
where id = any(:ids::text[])
