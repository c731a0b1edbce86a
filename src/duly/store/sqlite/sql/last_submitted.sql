-- The moment given to the newest task: the next one gets a later one, also when the clock was set back.
select submitted from task order by key desc limit 1
