-- Makes ready what is due, in steps.
update {schema}.task set state = 2
where key = any(array(
    select key from {schema}.task where state = 0 and run_at <= {schema}.clock()
    order by run_at limit 1000 for no key update skip locked
))
