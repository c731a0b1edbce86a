-- Carries out plain successes, nine changes of ten: what has ended moves out of the way, its history is written, and
-- what did not hit is returned. The columns that a success leaves alone are named one by one, since it knows them all.
-- (`state + 0` keeps PostgreSQL from looking through all that run.)
-- rows: Succeeded
with c as materialized (
    select
        (r ->> @key)::bigint as key,
        (r ->> @claim)::integer as claim,
        (r ->> @count)::integer as count,
        r ->> @value as value,
        (r ->> @started_at)::bigint as started_at,
        (r ->> @ended_at)::bigint as ended_at,
        r ->> @events as events
    from jsonb_array_elements(:changes::jsonb) as r
),
gone as (
    delete from {schema}.task using c
    where task.key = any(array(select key from c)) and task.key = c.key and task.claim = c.claim and task.state + 0 = 3 and task.verdict is null
    returning
        task.*, c.count as told, c.value as came_to, c.started_at as began_at, c.ended_at as over_at, c.events as events
),
moved as (
    insert into {schema}.ended (
        key, rank, submitted, run_at, started_at, ended_at, claimed_in, lane, claim, attempt, deaths, losses, cleanup,
        seq, state, band, began, suspect, id, cause, reason, value, error, info, owed, bell, origin, options, payload
    )
    select
        key, rank, submitted, run_at, coalesce(started_at, began_at), over_at, claimed_in, lane, claim, attempt,
        deaths, losses, cleanup, seq + told, 4, band, 1, 0, id, cause, reason, came_to, error, info, owed, bell,
        origin, options, payload
    from gone
),
history as (
    insert into {schema}.event (task, first, claim, attempt, body)
    select key, seq + 1, claim, attempt, events from gone
)
select c.key, c.claim from c where not exists (select from gone where gone.key = c.key and gone.claim = c.claim)
