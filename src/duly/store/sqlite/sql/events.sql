-- Reads runs of a task's events from the one that holds number :after + 1.
select first, attempt, body from event
where task = (select key from task where id = :id)
    and first >= ifnull(
        (select max(first) from event where task = (select key from task where id = :id) and first <= :after + 1), 0
    )
order by first
limit :most
