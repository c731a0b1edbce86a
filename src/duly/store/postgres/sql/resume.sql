-- Ends a pause.
with ended as (
    delete from {schema}.pause where kind = :kind and name = :name returning 1
)
update {schema}.lanes_version set number = number + 1 where exists (select from ended) returning number
