-- How the tasks that are to be retried stand: the time, id, and the fields of Standing.
select {schema}.clock(), id, key, claim, state, verdict, band, rank, options
from {schema}.every_task where id = any(:ids::text[]) and seq > 0
