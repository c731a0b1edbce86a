-- Counts a node's exchange, if it is the next one.
update node set exchange = :number where number = :node and exchange = :number - 1
