-- Deletes the payloads, of the table that was used first, of tasks that are emptied.
delete from blob where task in (select key from task where key in (select value ->> 0 from json_each(:tasks)) and seq = 0)
