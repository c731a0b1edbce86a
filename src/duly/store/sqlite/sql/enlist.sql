-- Adds a node under a number that was reserved for it.
insert into node (number, name, bell, label, started_at) values (:number, :name, :bell, :label, :now)
