-- Tells which of these tasks were stored before this transaction.
-- rows: Submission
select task.id from jsonb_each(:submits) as s join task on task.id = s.value ->> @id where task.submitted < :stamp
