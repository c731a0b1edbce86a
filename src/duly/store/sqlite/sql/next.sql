-- What falls due next.
select run_at, id from task where state = 0 order by run_at limit 1
