-- Makes ready what is due, in steps.
update task set state = 2
where key in (select key from task where state = 0 and run_at <= :now order by run_at limit 1000)
