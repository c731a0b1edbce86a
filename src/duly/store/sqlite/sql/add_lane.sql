-- Adds a lane.
insert into lane (queue, action, version) values (:queue, :action, :version) on conflict do nothing
