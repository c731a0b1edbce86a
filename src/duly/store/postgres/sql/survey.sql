-- Reads what of tasks tells whether their time is over, in the order of their keys and of Aged.
select key, lane, state, submitted, ended_at, seq = 0
from {schema}.every_task where key > :after and key <= :upto order by key limit :most
