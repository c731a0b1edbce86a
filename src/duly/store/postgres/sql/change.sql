-- Carries out what holders say became of their tasks: a compare-and-swap on (key, claim) and the verdict. Writes its
-- history, in which an attempt that was given back keeps its number. What did not hit is returned.
-- (`state + 0` keeps PostgreSQL from looking through all that run.)
-- rows: Change
with c as materialized (
    select
        (r ->> @key)::bigint as key,
        (r ->> @claim)::integer as claim,
        (r ->> @count)::integer as count,
        r ->> @events as events,
        r ->> @value as value,
        (r ->> @started_at)::bigint as started_at,
        (r ->> @ended_at)::bigint as ended_at,
        (r ->> @state)::smallint as state,
        (r ->> @guard)::smallint as guard,
        (r ->> @began)::smallint as began,
        (r ->> @attempt)::integer as attempt,
        (r ->> @deaths)::integer as deaths,
        (r ->> @losses)::integer as losses,
        (r ->> @cleanup)::integer as cleanup,
        (r ->> @band)::smallint as band,
        (r ->> @rank)::bigint as rank,
        (r ->> @run_at)::bigint as run_at,
        (r ->> @suspect)::smallint as suspect,
        r ->> @cause as cause,
        r ->> @error as error,
        r ->> @info as info,
        (r ->> @verdict)::smallint as verdict,
        r ->> @owed as owed
    from jsonb_array_elements(:changes::jsonb) as r
),
hit as (
    update {schema}.task set
        state = c.state,
        seq = task.seq + c.count,
        value = coalesce(c.value, task.value),
        started_at = coalesce(task.started_at, c.started_at),
        ended_at = c.ended_at,
        began = greatest(task.began, c.began),
        attempt = task.attempt + c.attempt,
        deaths = task.deaths + c.deaths,
        losses = task.losses + c.losses,
        cleanup = task.cleanup + c.cleanup,
        band = coalesce(c.band, task.band),
        rank = coalesce(c.rank, task.rank),
        run_at = coalesce(c.run_at, task.run_at),
        suspect = coalesce(c.suspect, task.suspect),
        cause = coalesce(c.cause, task.cause),
        error = coalesce(c.error, task.error),
        info = coalesce(c.info, task.info),
        verdict = coalesce(c.verdict, task.verdict),
        owed = coalesce(c.owed, task.owed),
        node = case when c.state = 3 then task.node end
    from c
    where task.key = any(array(select key from c)) and task.key = c.key
        and task.claim = c.claim
        and task.state + 0 = 3
        and (c.guard = 2 or (task.verdict is not null) = (c.guard = 1))
    returning task.key, task.claim, task.seq, task.attempt, c.count, c.attempt as given_back, c.events
),
history as (
    insert into {schema}.event (task, first, claim, attempt, body)
    select key, seq - count + 1, claim, attempt - given_back, events from hit where count > 0
)
select c.key, c.claim from c where not exists (select from hit where hit.key = c.key and hit.claim = c.claim)
