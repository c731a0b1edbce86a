-- Carries out what a retry makes of tasks: a compare-and-swap on the state and claim that they were found in. Returned
-- are those that it hit.
-- rows: Release
with r as materialized (
    select
        (one ->> @key)::bigint as key,
        (one ->> @claim)::integer as claim,
        (one ->> @found)::smallint as found,
        (one ->> @state)::smallint as state,
        (one ->> @band)::smallint as band,
        (one ->> @rank)::bigint as rank,
        (one ->> @run_at)::bigint as run_at,
        (one ->> @anew)::boolean as anew,
        one ->> @events as events
    from jsonb_array_elements(:releases::jsonb) as one
),
hit as (
    update {schema}.task set
        state = r.state,
        band = r.band,
        rank = r.rank,
        run_at = coalesce(r.run_at, task.run_at),
        seq = task.seq + 1,
        attempt = case when anew then 0 else task.attempt end,
        deaths = case when anew then 0 else task.deaths end,
        losses = case when anew then 0 else task.losses end,
        cleanup = case when anew then 0 else task.cleanup end,
        suspect = case when anew then 0 else task.suspect end,
        verdict = case when anew then null else task.verdict end,
        cause = case when anew then null else task.cause end,
        reason = case when anew then null else task.reason end,
        error = case when anew then null else task.error end,
        owed = case when anew then null else task.owed end,
        ended_at = case when anew then null else task.ended_at end
    from r
    where task.key = any(array(select key from r)) and task.key = r.key and task.claim = r.claim and task.state = r.found and (anew or task.verdict is null)
    returning task.key, task.seq, task.claim, task.id, r.events
),
history as (
    insert into {schema}.event (task, first, claim, attempt, body)
    select hit.key, hit.seq, hit.claim, before.attempt, hit.events from hit join {schema}.task as before using (key)
)
select key from hit
