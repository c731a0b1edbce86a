-- Adds a piece of a large text, which is loose until a row names it. Its number is chance: a server that is killed may
-- forget that it has given one, and give it to another piece, while somebody still means the first.
with added as (
    insert into {schema}.chunk (number, made_at, data) overriding system value
    values (:number, {schema}.clock(), :data)
    returning number
)
insert into {schema}.loose (chunk) select number from added returning chunk
