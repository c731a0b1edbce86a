-- Has the commit of this transaction not wait for the disk.
select set_config('synchronous_commit', 'off', true)
