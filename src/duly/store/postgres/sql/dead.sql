-- The nodes that were given up, or have said themselves that they live no more.
select number, name, bell, started_at, label from {schema}.node where (lost or gone) and number <> all(:mine::integer[]) order by number
