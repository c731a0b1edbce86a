-- Reads a payload that was stored before there were chunks.
select payload from blob where task = :key
