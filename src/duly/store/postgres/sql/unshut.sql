-- Has nothing be refused any more.
do $$
declare
    name text;
begin
    foreach name in array array['lane', 'node', 'task', 'ended', 'event', 'pause', 'keeping'] loop
        execute 'drop trigger if exists moving on {schema}.' || name;
    end loop;
end
$$
