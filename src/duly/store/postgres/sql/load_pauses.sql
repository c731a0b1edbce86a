-- Stores pauses, in the order of Pause.
insert into {schema}.pause (kind, name, paused_at)
select kind, name, since from json_to_recordset(:rows::json) as r (kind text, name text, since bigint)
