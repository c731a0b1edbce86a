-- What a node holds, as one JSON array in the order of Held.
select json_group_array(json_array(
    key, claim, id, lane, band, rank,
    attempt, deaths, losses, began, suspect, verdict, cleanup,
    json(ifnull(owed, '[]')), submitted, bell, origin, options, info, 'null'
))
from (select * from task where node = :node and state = 3 limit :most)
