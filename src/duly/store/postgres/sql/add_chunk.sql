-- Adds a piece of a large text, which is loose until a row names it.
with added as (
    insert into {schema}.chunk (made_at, data) values ({schema}.clock(), :data) returning number
)
insert into {schema}.loose (chunk) select number from added returning chunk
