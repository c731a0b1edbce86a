-- The first schema. Times are microseconds since 1970 (UTC), states as in core/task.py, JSON is text.

create table migration (
    number integer primary key,
    kind text not null,
    name text not null,
    applied_at integer not null
) strict;

-- A queue, action and version as one small number.
create table lane (
    number integer primary key,
    queue text not null,
    action text not null,
    version integer not null,
    unique (queue, action, version)
) strict;

-- Running duly processes; one lives as long as it holds its byte of the side file. Numbers are never used again.
create table node (
    number integer primary key autoincrement,
    name text not null unique,
    bell text not null,
    label text not null,
    started_at integer not null,
    exchange integer not null default 0
) strict;

-- One row per task. `key` is its short name, and so the newest row is never deleted; `submitted` grows with it.
create table task (
    key integer primary key,
    id text not null unique,
    lane integer not null,
    state integer not null,
    band integer not null,
    rank integer not null,
    claim integer not null default 0,
    node integer,
    attempt integer not null default 0,
    deaths integer not null default 0,
    losses integer not null default 0,
    began integer not null default 0,
    suspect integer not null default 0,
    seq integer not null default 1,
    verdict integer,
    cleanup integer not null default 0,
    submitted integer not null,
    run_at integer,
    started_at integer,
    ended_at integer,
    cause text,
    reason text,
    value text,
    error text,
    info text,
    owed text,
    -- from here on used by later steps of the lifecycle
    step text,
    place integer,
    bump_at integer,
    expires_at integer,
    -- the passport
    bell text not null default '',
    origin text not null default '',
    options text,
    payload text not null -- '': it is large, and kept in `blob`
) strict;

create index task_ready on task (lane, band, rank) where state = 2 and suspect = 0;
create index task_suspect on task (lane, band, rank) where state = 2 and suspect > 0;
create index task_scheduled on task (run_at) where state = 0;
create index task_dated on task (run_at) where run_at is not null;
create index task_running on task (node) where state = 3;
create index task_asked on task (node) where state = 3 and verdict is not null;

-- Payloads too large to be written anew with each change of their task.
create table blob (
    task integer primary key,
    payload text not null
) strict;

-- History: a row holds a run of a task's events, numbered from `first`. Number 1 (init) is the task's own row.
create table event (
    task integer not null,
    first integer not null,
    claim integer not null,
    attempt integer not null,
    body text not null,
    primary key (task, first)
) without rowid, strict;
