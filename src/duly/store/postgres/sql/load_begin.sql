-- Lets this transaction write to a store to which a move is coming.
with begun as (
    update {schema}.moving set what = 'loading' where what = 'coming' returning 1
)
select {schema}.refuse('takes no records: nothing is being moved to it') where not exists (select from begun)
