-- Counts tasks by lane, state, whether they are to end otherwise, and node, in the order of Tally. Since when: ready ones
-- from the moment that they could begin, running ones from their first beginning, scheduled ones from their date. Those
-- that have ended are counted apart, since little is asked of them.
select queue, action, version, state, asked, node, tasks, since
from (
    select
        lane,
        state,
        verdict is not null as asked,
        node,
        count(*) as tasks,
        min(case state
            when 0 then run_at
            when 2 then greatest(submitted, run_at)
            when 3 then started_at
        end) as since
    from {schema}.task
    group by 1, 2, 3, 4
    union all
    select lane, state, false, null, count(*), null from {schema}.ended where seq > 0 group by 1, 2
) as counted join {schema}.lane on lane.number = lane
order by queue, action, version, state, asked, node
