-- Stores one task, as a statement that is its own transaction; one that is known already is left as it is. It is refused
-- if an end of this task was committed while the insert waited for it. Tells the time, and whether it was stored.
-- rows: Submission
with created as (
    insert into {schema}.task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
    select
        :id, :lane, :state, :band, :base::bigint + :sign * greatest({schema}.clock(), :floor), {schema}.clock(),
        :run_at, :options, :payload, :origin, :bell
    where not exists (select from {schema}.ended where id = :id)
    on conflict (id) do nothing
    returning 1
)
select
    {schema}.clock(), exists (select from created),
    case when exists (select from created) and {schema}.has_ended(:id) then {schema}.refuse('known') end
