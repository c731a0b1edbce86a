-- What a task's row has of its payload or value.
select iif(:what = 'payload', payload, value) from task where key = :key
