-- What a transaction of somebody else's is like that is to store tasks: whether each statement of it sees what others have
-- committed by then, and whether all of these lanes, rows of (number, queue, action, version), are those of this store.
select
    current_setting('transaction_isolation') = 'read committed',
    not exists (
        select from jsonb_array_elements(:lanes::jsonb) as l
        where not exists (
            select from {schema}.lane
            where number = (l ->> 0)::integer and (queue, action, version) = (l ->> 1, l ->> 2, (l ->> 3)::integer)
        )
    )
