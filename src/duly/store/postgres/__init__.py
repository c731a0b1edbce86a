"""The store port on PostgreSQL, through psycopg; needs the extra `duly[postgres]`."""
