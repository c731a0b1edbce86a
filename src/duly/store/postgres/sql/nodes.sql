-- All nodes.
select number, name, bell, started_at, label from {schema}.node order by number
