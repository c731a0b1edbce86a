-- How many tasks were ever submitted, those included that were known already or rolled back: the last key.
select case when is_called then last_value else 0 end from {schema}.task_key_seq
