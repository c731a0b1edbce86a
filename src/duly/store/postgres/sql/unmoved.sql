-- Notes that this store is part of a move no more.
delete from {schema}.moving
