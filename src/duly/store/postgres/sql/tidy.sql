-- Takes or keeps the care of this store, if nobody else has it or has said so lately; not before the clock was set back.
insert into {schema}.keeper (token, seen) values (:token, {schema}.clock())
on conflict (one) do update set token = excluded.token, seen = excluded.seen
where keeper.token = excluded.token or abs(keeper.seen - excluded.seen) > :lease
returning 1
