-- Ends a pause.
delete from pause where kind = :kind and name = :name
