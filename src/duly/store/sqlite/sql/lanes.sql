-- All lanes.
select number, queue, action, version from lane order by number
