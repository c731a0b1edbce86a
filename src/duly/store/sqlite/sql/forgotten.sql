-- Chunks that no row has named in time: whoever wrote them died, or its change missed.
select number from loose join chunk on number = loose.chunk where made_at < :before limit 64
