-- Stores one task, as a statement that is its own transaction; one that is known already is left as it is. Its moment is later than that of any task before, also when the clock was set back: it is said twice,
-- since to make it a table of one row takes twice as long.
insert into task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
values (
    :id, :lane, :state, :band,
    :base + :sign * max(:now, ifnull((select submitted + 1 from task order by key desc limit 1), 0), :floor),
    max(:now, ifnull((select submitted + 1 from task order by key desc limit 1), 0)),
    ifnull(:run_at, :now + :delay), :options, :payload, :origin, :bell
)
on conflict (id) do nothing
