-- Where nodes can be rung.
select bell from node where number is not :node
