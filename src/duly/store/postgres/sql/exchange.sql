-- Counts a node's exchange, if it is the next one of a node that was not given up; all else is refused. The node was
-- heard of now, whether there is anything to be counted (:counted, its number from now on) or not; and not at a time that
-- has not come yet, if the clock was set back.
with heard as (
    update {schema}.node set
        exchange = :counted,
        seen = greatest({schema}.clock(), case when seen <= {schema}.clock() + lease then seen end)
    where number = :node and exchange = :number - 1 and not lost
    returning 1
)
select {schema}.refuse('given up') where not exists (select from heard)
