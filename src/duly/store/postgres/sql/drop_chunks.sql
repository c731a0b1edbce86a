-- Deletes chunks, and what is noted of them.
with noted as (delete from {schema}.loose where chunk = any(:chunks::bigint[]))
delete from {schema}.chunk where number = any(:chunks::bigint[])
