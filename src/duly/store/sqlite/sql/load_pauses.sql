-- Stores a pause.
insert into pause (kind, name, paused_at) values (:kind, :name, :since)
