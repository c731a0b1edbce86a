-- Stores tasks, each a microsecond after the one before it; one that is known already is left as it is. A child is
-- stored only if this transaction has carried out a change of one of its :parents, by id: [key, claim]. Returned are
-- those that were not stored though they might have been. Who may be stopped before `known` comes is :careful not to store
-- what has ended: a function, as no plan may come to read all that has.
-- rows: Submission
with s as materialized (
    select
        r,
        place,
        r ->> @id as id,
        {schema}.clock() + place - 1 as at,
        not :parents::jsonb ? (r ->> @id) or exists (
            select from jsonb_array_elements(:parents::jsonb -> (r ->> @id)) as parent
            where exists (
                select from {schema}.task
                where key = (parent ->> 0)::bigint and claim = (parent ->> 1)::integer
                    and task.xmin = pg_current_xact_id()::xid
            ) or exists (
                select from {schema}.ended
                where key = (parent ->> 0)::bigint and claim = (parent ->> 1)::integer
                    and ended.xmin = pg_current_xact_id()::xid
            )
        ) as wanted
    from jsonb_array_elements(:submits::jsonb) with ordinality as one (r, place)
),
created as (
    insert into {schema}.task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
    select
        id,
        (r ->> @lane)::integer,
        (r ->> @state)::smallint,
        (r ->> @band)::smallint,
        (r ->> @base)::bigint + (r ->> @sign)::bigint * greatest(at, (r ->> @floor)::bigint),
        at,
        coalesce((r ->> @run_at)::bigint, at + (r ->> @delay)::bigint),
        r ->> @options,
        r ->> @payload,
        r ->> @origin,
        r ->> @bell
    from s
    where wanted and (not :careful or not {schema}.has_ended(id))
    order by place
    on conflict (id) do nothing
    returning id
)
select id, wanted from s
where (select count(*) from created) < (select count(*) from s)
    and not exists (select from created where created.id = s.id)
