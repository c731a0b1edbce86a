-- All lanes.
select number, queue, action, version from {schema}.lane order by number
