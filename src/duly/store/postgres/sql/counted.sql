-- The number of a node's last exchange, if it was not given up.
select exchange from {schema}.node where number = :node and not lost
