-- Notes for how long the ended tasks of actions are kept, where that is news: rows of (action, version, keep, keep_failed).
insert into {schema}.keeping (action, version, keep, keep_failed)
select k ->> 0, (k ->> 1)::integer, (k ->> 2)::bigint, (k ->> 3)::bigint from jsonb_array_elements(:keeps::jsonb) as k
on conflict (action, version) do update set keep = excluded.keep, keep_failed = excluded.keep_failed
where (keeping.keep, keeping.keep_failed) is distinct from (excluded.keep, excluded.keep_failed)
