-- What a task's row has of its payload or value.
select case when :what = 'payload' then payload else value end from {schema}.every_task where key = :key
