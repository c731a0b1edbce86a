-- Adds a node; one of this name is this node, by an answer that was lost.
insert into {schema}.node (name, bell, label, started_at, seen, lease)
values (:name, :bell, :label, {schema}.clock(), {schema}.clock(), :lease)
on conflict (name) do update set seen = excluded.seen
returning number
