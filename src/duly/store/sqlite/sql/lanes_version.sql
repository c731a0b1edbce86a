-- Grows when a lane is added.
select ifnull(max(number), 0) from lane
