-- Reads a page of the tasks that have a date, the earliest first, in the order of TaskRow, without what may be large.
select
    key, id, queue, action, version, state, verdict, cause, reason, band, attempt, deaths, losses, suspect,
    submitted, run_at, started_at, ended_at, seq, options, '', origin, info, null, error
from task join lane on lane.number = task.lane
where run_at is not null and (run_at, key) > (:at, :key)
    and seq > 0
    and (:states is null or state in (select value from json_each(:states)))
    and (:action is null or action = :action)
    and (:queue is null or queue = :queue)
    and (:since is null or submitted >= :since)
    and (:due_before is null or run_at < :due_before)
order by run_at, key
limit :most
