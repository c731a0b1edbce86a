-- All nodes.
select number, name, bell, started_at, label from node order by number
