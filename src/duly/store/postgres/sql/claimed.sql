-- What a node has claimed by one exchange, as `claim` has told it.
select coalesce(json_agg(json_build_array(
    key, claim, id, lane, band, rank, attempt, deaths, losses, began, suspect, verdict, cleanup,
    coalesce(owed, '[]')::json, submitted, bell, origin, options, info, payload
) order by band, rank, key), '[]')::text
from {schema}.task where node = :node and claimed_in = :number and state = 3
