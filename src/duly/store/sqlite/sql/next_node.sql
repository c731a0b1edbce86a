-- The number of the next node; never one that was used before.
select ifnull((select seq from sqlite_sequence where name = 'node'), 0) + 1
