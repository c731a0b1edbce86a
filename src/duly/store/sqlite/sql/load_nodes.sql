-- Stores a node, as which nobody lives.
insert into node (number, name, bell, started_at, label) values (:number, :name, :bell, :started_at, :label)
