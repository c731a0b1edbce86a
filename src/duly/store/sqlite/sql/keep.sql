-- Notes for how long the ended tasks of actions are kept, where that is news: rows of (action, version, keep, keep_failed).
insert into keeping (action, version, keep, keep_failed)
select k.value ->> 0, k.value ->> 1, k.value ->> 2, k.value ->> 3 from json_each(:keeps) as k where true
on conflict (action, version) do update set keep = excluded.keep, keep_failed = excluded.keep_failed
where keep is not excluded.keep or keep_failed is not excluded.keep_failed
