-- Deletes some of the history of emptied tasks.
with told as materialized (
    select event.task, event.first from {schema}.ended join {schema}.event on event.task = ended.key
    where ended.key = any(:keys::bigint[]) and ended.seq = 0
    limit :most
)
delete from {schema}.event using told where event.task = told.task and event.first = told.first returning 1
