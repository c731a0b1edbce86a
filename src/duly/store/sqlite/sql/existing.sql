-- Of tasks that were submitted together: the moment at which the first of them would have been stored with this one.
-- rows: Submission
select task.id, task.submitted - s.key from jsonb_each(:submits) as s join task on task.id = s.value ->> @id
