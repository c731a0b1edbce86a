-- Said at the beginning of each transaction, and for it alone: who waits for others' locks gives up before anybody takes
-- the connection for broken. Who has stopped in the middle and holds some is ended by the server; one that is cut off
-- before all was sent is not idle to it, though, and ended only by what PostgreSQL has from 17 on (before, by its
-- tcp_keepalives). A plan is made once, not for each set of values, and reads no table as a whole, however small that is
-- just then: a thousand times as much may be there a second later, of which PostgreSQL hears after a minute. What need not
-- be durable is not waited for at the commit.
select
    set_config('lock_timeout', :patience, true),
    set_config('idle_in_transaction_session_timeout', '10s', true),
    case when current_setting('server_version_num')::integer >= 170000 then set_config('transaction_timeout', '10s', true) end,
    set_config('plan_cache_mode', 'force_generic_plan', true),
    set_config('enable_seqscan', 'off', true),
    set_config('jit', 'off', true),
    case when not :durable then set_config('synchronous_commit', 'off', true) end
