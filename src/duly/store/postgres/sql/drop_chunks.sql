-- Deletes chunks that are still noted as nobody's, and the notes.
with noted as (delete from {schema}.loose where chunk = any(:chunks::bigint[]) returning chunk)
delete from {schema}.chunk where number in (select chunk from noted)
