-- Stores one task in a transaction of its own, and tells its moment; nothing, if it is known already.
select {schema}.submit_one(
    :id, :lane, :state, :band, :base, :sign, :floor, :run_at, :delay, :options, :payload, :origin, :bell, :patience
)
