-- What is paused, in the order of Pause.
select kind, name, paused_at from {schema}.pause order by kind, name
