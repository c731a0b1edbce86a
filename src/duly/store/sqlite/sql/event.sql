-- Writes events: rows of (task, first, claim, attempt, body).
insert into event (task, first, claim, attempt, body)
select e.value ->> 0, e.value ->> 1, e.value ->> 2, e.value ->> 3, e.value ->> 4 from jsonb_each(:rows) as e
