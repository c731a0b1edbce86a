-- Stores a lane with its number.
insert into lane (number, queue, action, version) values (:number, :queue, :action, :version)
