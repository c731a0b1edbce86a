-- How tasks stand for which changes did not hit.
select key, state, claim, verdict from {schema}.every_task where key = any(:keys::bigint[])
