-- Notes that rows name these chunks now.
delete from {schema}.loose where chunk = any(:chunks::bigint[])
