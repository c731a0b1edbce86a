-- Stores one task, as a statement that is its own transaction, and tells its moment; nothing, if it is known already. It is
-- refused if an end of this task was committed while the insert waited for it.
-- rows: Submission
insert into {schema}.task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
select
    :id, :lane, :state, :band, :base::bigint + :sign * greatest({schema}.clock(), :floor), {schema}.clock(),
    coalesce(:run_at, {schema}.clock() + :delay), :options, :payload, :origin, :bell
where not exists (select from {schema}.ended where id = :id)
on conflict (id) do nothing
returning submitted, case when {schema}.has_ended(id) then {schema}.refuse('known') end
