-- Reads a page of the tasks that have a date, the earliest first, in the order of TaskRow, without what may be large.
-- (`run_at + 0` is what the indexes of dates are made of.)
select
    key, id, queue, action, version, state, verdict, cause, reason, band, attempt, deaths, losses, suspect,
    submitted, run_at, started_at, ended_at, seq, options, '', origin, info, null, error
from {schema}.every_task join {schema}.lane on lane.number = every_task.lane
where run_at is not null and (run_at + 0, key) > (:at, :key)
    and seq > 0
    and (:states::smallint[] is null or state = any(:states::smallint[]))
    and (:action::text is null or action = :action)
    and (:queue::text is null or queue = :queue)
    and (:since::bigint is null or submitted >= :since)
    and (:due_before::bigint is null or run_at < :due_before)
order by run_at + 0, key
limit :most
