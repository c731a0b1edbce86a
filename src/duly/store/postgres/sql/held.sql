-- What a node holds, as one JSON array in the order of Held.
select coalesce(json_agg(json_build_array(
    key, claim, id, lane, band, rank, attempt, deaths, losses, began, suspect, verdict, cleanup,
    coalesce(owed, '[]')::json, submitted, bell, origin, options, info, 'null'
)), '[]')::text
from (select * from {schema}.task where node = :node and state = 3 limit :most) as held
