-- Reads chunks in this order.
select data
from unnest(:chunks::bigint[]) with ordinality as named (number, place) join {schema}.chunk using (number)
order by place
