-- How tasks stand, as one JSON array in the order of Glance.
select json_group_array(json_array(id, state, verdict, seq)) from task where id in (select value from json_each(:ids))
