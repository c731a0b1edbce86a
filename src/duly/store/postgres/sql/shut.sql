-- Has all be refused that would write to the tables of tasks.
do $$
declare
    name text;
begin
    foreach name in array array['lane', 'node', 'task', 'ended', 'event', 'pause', 'keeping'] loop
        execute 'create or replace trigger moving before insert or update or delete on {schema}.' || name
            || ' for each statement execute function {schema}.refuse_moving()';
    end loop;
end
$$
