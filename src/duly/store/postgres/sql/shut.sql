-- Has all be refused that would write to the tables of tasks; of a node it may still be noted that it is lost.
do $$
declare
    name text;
begin
    foreach name in array array['lane', 'node', 'task', 'ended', 'event', 'pause', 'keeping'] loop
        execute 'create or replace trigger moving before insert or delete'
            || case when name = 'node' then '' else ' or update' end || ' on {schema}.' || name
            || ' for each statement execute function {schema}.refuse_moving()';
    end loop;
end
$$
