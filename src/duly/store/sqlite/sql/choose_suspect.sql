-- Chooses a suspect to claim: keys, and all that a holder is to know, each as one JSON array in the order of Held.
-- They are found and sorted in the index alone; only the rows that are chosen are read.
select
    json_group_array(key),
    json_group_array(json_array(
        key, claim + 1, id, lane, band, rank,
        attempt + (verdict is null), deaths, losses, began, suspect, verdict, cleanup + (verdict is not null),
        json(ifnull(owed, '[]')), submitted, bell, origin, options, info, payload
    ))
from (
    select key as chosen from task
    where lane in (select value from json_each(:lanes)) and state = 2 and suspect > 0
        and (not :cleanup or verdict is not null)
    order by band, rank, key
    limit :most
) cross join task on task.key = chosen
