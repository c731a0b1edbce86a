-- Which of a node's tasks are to end otherwise.
select key, claim, verdict, ifnull(reason, '') from task where node = :node and state = 3 and verdict is not null
