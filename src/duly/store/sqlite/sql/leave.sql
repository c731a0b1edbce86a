-- Strikes a node off, unless it holds tasks.
delete from node where number = :node and not exists (select 1 from task where node = :node and state = 3)
