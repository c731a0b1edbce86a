-- Leaves the care of this store to others.
delete from {schema}.keeper where token = :token
