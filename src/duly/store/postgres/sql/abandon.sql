-- Notes that a node lives no more, as it says itself.
update {schema}.node set gone = true where number = :node and not gone
