-- Reads runs of a task's events from the one that holds number :after + 1.
with found as materialized (select key from {schema}.every_task where id = :id)
select first, attempt, body from {schema}.event
where task = (select key from found)
    and first >= coalesce(
        (select max(first) from {schema}.event where task = (select key from found) and first <= :after + 1), 0
    )
order by first
limit :most
