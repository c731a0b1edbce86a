-- What a node is to know: which of its tasks are to end otherwise (in the order of Asked), what falls due next (moment
-- and task), a number that grows when lanes or pauses change, and whether there are suspects to claim.
select
    (
        select json_group_array(json_array(key, claim, verdict, ifnull(reason, ''))) from task
        where node = :node and state = 3 and verdict is not null
    ),
    (select json_array(run_at, id) from (select run_at, id from task where state = 0 order by run_at limit 1)),
    (select number from lanes_version),
    exists (select 1 from task where state = 2 and suspect > 0)
