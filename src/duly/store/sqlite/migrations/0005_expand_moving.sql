-- Which move to or from another store this one is part of: no row or one. While there is one, triggers that are made with
-- it refuse all that would write to the tables of tasks; whoever loads says `loading` until its transaction ends.
create table moving (
    id text primary key,
    what text not null check (what in ('leaving', 'coming', 'loading', 'left')),
    other text not null
) without rowid, strict;
