-- How many bytes the payloads have that are kept apart for these tasks.
select task, octet_length(payload) from blob where task in (select value from json_each(:keys))
