-- Said at the beginning of each transaction, and for it alone: who waits for others' locks, or has stopped in the middle
-- and holds some, gives up before anybody takes the connection for broken; and a plan is made once, not for each set of
-- values. What need not be durable is not waited for at the commit.
select
    set_config('lock_timeout', '8s', true),
    set_config('idle_in_transaction_session_timeout', '10s', true),
    set_config('plan_cache_mode', 'force_generic_plan', true),
    case when not :durable then set_config('synchronous_commit', 'off', true) end
