-- Keeps the payload of a task apart, if the task was stored in this transaction.
insert into blob (task, payload) select key, :payload from task where id = :id and submitted >= :stamp
