-- Said before a query that reads much, and for it alone: how long that may take.
select set_config('statement_timeout', :milliseconds, true)
