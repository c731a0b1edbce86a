-- Stores one task and returns its moment; nothing, if it is known already. A call is a transaction of its own: what it
-- needs of `guard` is said inside, before a statement that is planned or takes locks. Whether the task has ended is looked
-- up after the insert, which may have waited for just that; then nothing of it needs to last.
create function {schema}.submit_one(
    task_id text, lane bigint, state bigint, band bigint, base bigint, sign bigint, floor bigint, run_at bigint, delay bigint,
    options text, payload text, origin text, bell text, patience text
) returns bigint language plpgsql volatile as $$
declare
    now constant bigint := {schema}.clock();
    said text := set_config('lock_timeout', patience, true) || set_config('enable_seqscan', 'off', true);
    created bigint;
begin
    insert into {schema}.task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
    values (
        task_id, lane, state, band, base + sign * greatest(now, floor), now, coalesce(run_at, now + delay),
        options, payload, origin, bell
    )
    on conflict (id) do nothing
    returning key into created;
    if created is null then
        return null;
    end if;
    if exists (select from {schema}.ended where id = task_id) then
        said := set_config('synchronous_commit', 'off', true);
        delete from {schema}.task where key = created;
        return null;
    end if;
    return now;
end
$$;

-- Its plan may be made while nothing has ended, and stays with a session that is not duly's own.
alter function {schema}.has_ended(text) set enable_seqscan = off;
