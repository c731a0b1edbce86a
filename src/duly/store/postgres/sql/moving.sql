-- Which move this store is part of, in the order of Move.
select id, what, other from {schema}.moving
