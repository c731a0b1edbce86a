-- Payloads and results larger than 64 KiB lie here in pieces of at most 1 MiB. The row of their task names them, as
-- '#[size, number, number ...]', which no JSON text begins like. What was stored before this step stays in `blob`.
create table chunk (
    number integer primary key autoincrement, -- never used again: a late writer must not name another's
    made_at integer not null,
    data text not null
) strict;

-- Chunks that no row names yet: each is written in a transaction of its own, before that of the row.
create table loose (
    chunk integer primary key
) strict;

create trigger chunk_loose after insert on chunk begin
    insert into loose (chunk) values (new.number);
end;
