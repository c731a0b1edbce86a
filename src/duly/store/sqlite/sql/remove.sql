-- Removes emptied tasks that have no history left; never the newest, by whose key and moment those of the next are made.
delete from task
where key in (select value from json_each(:keys)) and seq = 0
    and key < (select max(key) from task)
    and not exists (select 1 from event where event.task = task.key)
