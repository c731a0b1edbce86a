-- Notes that a node lives no more, as it says itself. An exchange of it that is still under way is waited for.
update {schema}.node set gone = true where number = :node
