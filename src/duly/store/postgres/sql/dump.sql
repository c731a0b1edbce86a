-- Reads tasks in the order of Record, and how many bytes their histories have: no more than :most_bytes of text together,
-- but always one task.
select
    key, id, lane, state, band, rank, claim, node, attempt, deaths, losses, began, suspect, seq, verdict, cleanup,
    submitted, run_at, started_at, ended_at, cause, reason, error, info, owed, origin, options, value, payload, history
from (
    select
        found.*,
        row_number() over (order by key) as place,
        sum(history + (
            select sum(
                case when left(part, 2) = '#[' then split_part(substr(part, 3), ',', 1)::bigint else octet_length(part) end
            )
            from (values (payload), (value)) as parts (part)
        )) over (order by key) as bytes
    from (
        select
            every_task.*,
            coalesce((select sum(octet_length(body)) from {schema}.event where task = key), 0) as history
        from {schema}.every_task where key > :after order by key limit :most
    ) as found
) as sized
where place = 1 or bytes <= :most_bytes
order by key
