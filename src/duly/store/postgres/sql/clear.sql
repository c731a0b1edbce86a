-- Makes room for another inventory.
with lanes as (delete from {schema}.lane),
pauses as (delete from {schema}.pause),
kept as (delete from {schema}.keeping)
delete from {schema}.node
