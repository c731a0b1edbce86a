-- What is paused, in the order of Pause.
select kind, name, paused_at from pause order by kind, name
