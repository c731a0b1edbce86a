-- Reads the histories of tasks, those with keys from one to another.
select task, first, claim, attempt, body from {schema}.event where task between :lowest and :highest order by task, first
