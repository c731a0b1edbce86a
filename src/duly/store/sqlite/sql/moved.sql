-- Notes that this store is part of a move.
insert into moving (id, what, other) values (:id, :what, :other)
