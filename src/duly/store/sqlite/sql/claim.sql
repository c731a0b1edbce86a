-- Claims what was chosen: the number of the claim grows, and the attempt counts from now on.
update task set
    state = 3,
    claim = claim + 1,
    node = :node,
    attempt = attempt + (verdict is null),
    cleanup = cleanup + (verdict is not null)
where key in (select value from json_each(:keys))
