-- Notes that this store is part of a move.
insert into {schema}.moving (id, what, other) values (:id, :what, :other)
