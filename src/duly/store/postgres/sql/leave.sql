-- Strikes a node off that `abandon` has just noted to be gone, unless it holds tasks: also such as were claimed until then,
-- which the same statement would not see.
delete from {schema}.node
where number = :node and not exists (select from {schema}.task where node = :node and state = 3)
