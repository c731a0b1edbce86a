-- Reads, the latest first, runs of a task's events that seem to hold an update. PostgreSQL does not look closer: it could
-- not read an event in which there is a NUL.
select first, body from {schema}.event
where task = (select key from {schema}.every_task where id = :id) and first < :before
    and position('["update",' in body) > 0
order by first desc
limit 8
