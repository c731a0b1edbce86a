-- How the tasks that are to be retried stand: id, attempt, last event, and the fields of Standing.
select id, attempt, seq, key, claim, state, verdict, band, rank, options
from task where id in (select value from json_each(:ids)) and seq > 0
