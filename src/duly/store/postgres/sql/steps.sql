-- Reads which steps of the schema were taken.
select number, kind, name from {schema}.migration
