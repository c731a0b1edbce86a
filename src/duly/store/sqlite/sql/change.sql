-- Carries out what holders say became of their tasks: a compare-and-swap on (key, claim) and the verdict.
-- rows: Change
update task set
    state = c.value ->> @state,
    seq = seq + (c.value ->> @count),
    value = ifnull(c.value ->> @value, task.value),
    started_at = ifnull(started_at, c.value ->> @started_at),
    ended_at = c.value ->> @ended_at,
    began = max(began, c.value ->> @began),
    attempt = attempt + (c.value ->> @attempt),
    deaths = deaths + (c.value ->> @deaths),
    losses = losses + (c.value ->> @losses),
    cleanup = cleanup + (c.value ->> @cleanup),
    band = ifnull(c.value ->> @band, band),
    rank = ifnull(c.value ->> @rank, rank),
    run_at = ifnull(c.value ->> @run_at, run_at),
    suspect = ifnull(c.value ->> @suspect, suspect),
    cause = ifnull(c.value ->> @cause, cause),
    error = ifnull(c.value ->> @error, error),
    info = ifnull(c.value ->> @info, info),
    verdict = ifnull(c.value ->> @verdict, verdict),
    owed = ifnull(c.value ->> @owed, owed),
    node = iif(c.value ->> @state = 3, node, null)
from jsonb_each(:changes) as c
where task.key = c.value ->> @key
    and task.claim = c.value ->> @claim
    and task.state = 3
    and (c.value ->> @guard = 2 or (task.verdict is not null) = (c.value ->> @guard))
