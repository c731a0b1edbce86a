-- Said before a statement that writes by itself, and for it alone: how long it waits for others' locks. A statement of its own,
-- since some are taken before one begins to be carried out.
select set_config('lock_timeout', :patience, true)
