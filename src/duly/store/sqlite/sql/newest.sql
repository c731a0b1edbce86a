-- The key of the newest task: no key is ever left out, so it counts all that were ever submitted.
select ifnull(max(key), 0) from task
