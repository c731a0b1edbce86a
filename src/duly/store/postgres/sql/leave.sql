-- Strikes a node off, unless it holds tasks; `abandon` notes then that it lives no more.
delete from {schema}.node
where number = :node and not exists (select from {schema}.task where node = :node and state = 3)
