-- What operators have paused: queues and actions by name, also such as no task was ever submitted for.
create table pause (
    kind text not null check (kind in ('queue', 'action')),
    name text not null,
    paused_at integer not null,
    primary key (kind, name)
) without rowid, strict;

-- One row: a number that grows when a lane is added and when something is paused or resumed. Nodes read it in each
-- exchange, in place of the number of the newest lane, and all lanes only if it is another one.
create table lanes_version (
    number integer not null
) strict;

insert into lanes_version (number) select ifnull(max(number), 0) from lane;

create trigger lane_added after insert on lane begin
    update lanes_version set number = number + 1;
end;

create trigger pause_begun after insert on pause begin
    update lanes_version set number = number + 1;
end;

create trigger pause_ended after delete on pause begin
    update lanes_version set number = number + 1;
end;

-- A pause holds up no cleanup.
create index task_cleanup on task (lane, band, rank) where state = 2 and suspect = 0 and verdict is not null;
