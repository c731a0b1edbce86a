-- Reads tasks by id, in the order of TaskRow.
select
    key, id, queue, action, version, state, verdict, cause, reason, band, attempt, deaths, losses, suspect,
    submitted, run_at, started_at, ended_at, seq, options,
    iif(payload = '', ifnull((select blob.payload from blob where blob.task = task.key), ''), payload),
    origin, info, value, error
from task join lane on lane.number = task.lane
where id in (select value from json_each(:ids))
