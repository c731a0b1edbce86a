-- Counts a node's exchange, if it is the next one of a node that was not given up; all else is refused. The node was
-- heard of now, whether there is anything to be counted (:counted, its number from now on) or not.
with heard as (
    update {schema}.node set exchange = :counted, seen = greatest(seen, {schema}.clock())
    where number = :node and exchange = :number - 1 and not lost
    returning 1
)
select {schema}.refuse('given up') where not exists (select from heard)
