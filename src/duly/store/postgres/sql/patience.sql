-- Said before a statement, and for it alone: how long it waits for others' locks. It is a statement of its own, since some
-- locks are taken before a statement begins to be carried out.
select set_config('lock_timeout', :patience, true)
