-- Counts tasks by lane, state, whether they are to end otherwise, and node, in the order of Tally. It reads each row once,
-- outside of the write lock: an index would cost every change of every task. Since when: ready ones from the moment that
-- they could begin, running ones from their first beginning, scheduled ones from their date. Those that have ended are
-- counted apart, since little is asked of them.
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
            when 2 then max(submitted, ifnull(run_at, submitted))
            when 3 then started_at
        end) as since
    from task
    where state < 4
    group by 1, 2, 3, 4
    union all
    select lane, state, 0, null, count(*), null from task where state > 3 and seq > 0 group by 1, 2
) join lane on lane.number = lane
order by queue, action, version, state, asked, node
