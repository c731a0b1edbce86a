-- Reads a payload that is kept apart.
select payload from blob where task = :key
