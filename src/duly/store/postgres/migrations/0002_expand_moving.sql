-- Which move to or from another store this one is part of: no row or one. While there is one, triggers that are made with
-- it refuse all that would write to the tables of tasks; whoever loads says `loading` until its transaction ends.
create table {schema}.moving (
    id text primary key,
    what text not null check (what in ('leaving', 'coming', 'loading', 'left')),
    other text not null
);

create function {schema}.refuse_moving() returns trigger language plpgsql as $$
declare
    told text := (select what || ' ' || other from {schema}.moving where what <> 'loading');
begin
    if told is not null then
        raise exception using errcode = 'DU002', message = told;
    end if;
    return null;
end
$$;
