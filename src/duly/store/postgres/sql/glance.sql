-- How tasks stand, in the order of Glance.
select id, state, verdict, seq from {schema}.every_task where id = any(:ids::text[])
