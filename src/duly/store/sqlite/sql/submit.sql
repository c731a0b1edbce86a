-- Stores tasks, each at a moment of its own, later than any before also when the clock was set back; one that is known
-- already is left as it is. In a transaction, or as a statement that is one.
-- rows: Submission
insert into task (id, lane, state, band, rank, submitted, run_at, options, payload, origin, bell)
select
    s.value ->> @id,
    s.value ->> @lane,
    s.value ->> @state,
    s.value ->> @band,
    (s.value ->> @base) + (s.value ->> @sign) * max(stamp + s.key, s.value ->> @floor),
    stamp + s.key,
    ifnull(s.value ->> @run_at, :now + (s.value ->> @delay)),
    s.value ->> @options,
    s.value ->> @payload,
    s.value ->> @origin,
    s.value ->> @bell
from
    jsonb_each(:submits) as s,
    (select max(:now, ifnull((select submitted + 1 from task order by key desc limit 1), 0)) as stamp)
where true
on conflict (id) do nothing
