-- Strikes a node off.
delete from node where number = :node
