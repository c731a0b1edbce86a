-- Chunks that no row has named in time: whoever wrote them died, or its change missed.
select number from {schema}.loose join {schema}.chunk on number = loose.chunk
where made_at < {schema}.clock() - :kept limit 64
