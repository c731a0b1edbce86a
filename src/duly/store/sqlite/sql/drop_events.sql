-- Deletes some of the history of emptied tasks.
delete from event where (task, first) in (
    select event.task, first from task join event on event.task = key
    where key in (select value from json_each(:keys)) and seq = 0
    limit :most
)
