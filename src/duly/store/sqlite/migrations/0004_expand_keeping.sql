-- For how long the ended tasks of an action are kept, as the worker said that began last: microseconds, null for good.
-- An ended task whose time is over has seq = 0: of it nothing is left but its id and how it ended, for another hour.
create table keeping (
    action text not null,
    version integer not null,
    keep integer,
    keep_failed integer,
    primary key (action, version)
) without rowid, strict;
