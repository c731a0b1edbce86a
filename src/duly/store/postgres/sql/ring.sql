-- Rings bells.
select pg_notify(channel, '') from unnest(:channels::text[]) as channel
