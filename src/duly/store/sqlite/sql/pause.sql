-- Pauses a queue or an action; one that is paused already stays so since then.
insert into pause (kind, name, paused_at) values (:kind, :name, :now) on conflict do nothing
