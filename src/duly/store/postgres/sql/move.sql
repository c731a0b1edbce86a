-- Moves what has ended out of the way of what has not, as a statement of the transaction that has ended it.
with gone as (
    delete from {schema}.task where state > 3 and (key = any(:keys::bigint[]) or id = any(:ids::text[])) returning *
)
insert into {schema}.ended select * from gone
