-- Removes emptied tasks that have no history left; never the newest.
delete from {schema}.ended
where key = any(:keys::bigint[]) and seq = 0
    and key < (select max(key) from {schema}.every_task)
    and not exists (select from {schema}.event where event.task = ended.key)
returning 1
