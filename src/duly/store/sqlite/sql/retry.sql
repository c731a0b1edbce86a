-- Carries out what a retry makes of tasks: a compare-and-swap on the state and claim that they were found in.
-- rows: Release
update task set
    state = r.value ->> @state,
    band = r.value ->> @band,
    rank = r.value ->> @rank,
    run_at = ifnull(r.value ->> @run_at, run_at),
    seq = seq + json_array_length(r.value -> @events),
    attempt = iif(r.value ->> @anew, 0, attempt),
    deaths = iif(r.value ->> @anew, 0, deaths),
    losses = iif(r.value ->> @anew, 0, losses),
    cleanup = iif(r.value ->> @anew, 0, cleanup),
    suspect = iif(r.value ->> @anew, 0, suspect),
    verdict = iif(r.value ->> @anew, null, verdict),
    cause = iif(r.value ->> @anew, null, cause),
    reason = iif(r.value ->> @anew, null, reason),
    error = iif(r.value ->> @anew, null, error),
    owed = iif(r.value ->> @anew, null, owed),
    ended_at = iif(r.value ->> @anew, null, ended_at)
from jsonb_each(:releases) as r
where task.key = r.value ->> @key and task.claim = r.value ->> @claim and task.state = r.value ->> @found
