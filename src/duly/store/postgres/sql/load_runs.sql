-- Stores runs of events, named columns in rows.
insert into {schema}.event select * from json_populate_recordset(null::{schema}.event, :rows::json)
on conflict (task, first) do nothing
