-- What a node is to know: the time, which of its tasks are to end otherwise (in the order of Asked), what falls due next
-- (moment and task), and a number that grows when lanes or pauses change.
select
    {schema}.clock(),
    (
        select json_agg(json_build_array(key, claim, verdict, coalesce(reason, ''))) from {schema}.task
        where node = :node and state = 3 and verdict is not null
    )::text,
    (
        select json_build_array(run_at, id)
        from (select run_at, id from {schema}.task where state = 0 order by run_at limit 1) as next
    )::text,
    (select number from {schema}.lanes_version)
