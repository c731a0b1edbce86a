-- Which tasks have ended, and whether this was by a cancel, for what reason.
select id, state, reason from {schema}.ended where id = any(:ids::text[])
