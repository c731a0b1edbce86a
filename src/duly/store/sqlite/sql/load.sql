-- Stores a task as it stood elsewhere, in the order of Record.
insert into task (
    key, id, lane, state, band, rank, claim, node, attempt, deaths, losses, began, suspect, seq, verdict, cleanup,
    submitted, run_at, started_at, ended_at, cause, reason, error, info, owed, origin, options, value, payload
)
values (
    :key, :id, :lane, :state, :band, :rank, :claim, :node, :attempt, :deaths, :losses, :began, :suspect, :seq,
    :verdict, :cleanup,
    :submitted, :run_at, :started_at, :ended_at, :cause, :reason, :error, :info, :owed, :origin, :options, :value, :payload
)
