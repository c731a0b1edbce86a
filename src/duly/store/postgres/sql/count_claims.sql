-- Counts an exchange that said nothing, if it has claimed something.
update {schema}.node set exchange = :number
where number = :node
    and exists (select from {schema}.task where node = :node and claimed_in = :number and state = 3)
