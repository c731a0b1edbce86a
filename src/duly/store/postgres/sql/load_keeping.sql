-- Stores for how long the tasks of actions are kept, named columns in rows.
insert into {schema}.keeping select * from json_populate_recordset(null::{schema}.keeping, :rows::json)
