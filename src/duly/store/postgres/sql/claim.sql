-- Claims tasks for a node: the number of the claim grows, and the attempt counts from now on. Returned is all that a
-- holder is to know, as one JSON array in the order of Held and of urgency. More candidates are looked at than are wanted,
-- since others choose at the same time. `free` are taken at once, others only if they are more urgent than `worst`;
-- of large payloads no more than :most_bytes together, but always one. What is read of lanes says floors.py, which is
-- told what came first in each lane and band. `state + 0` keeps PostgreSQL, which knows nothing of a young table, from
-- looking for keys in the index of all that is ready.
with candidate as materialized (
    select found.key, found.band, found.rank, found.lane
    from (
        select ready.key, ready.band, ready.rank, (wanted ->> 0)::integer as lane
        from jsonb_array_elements(:ranges::jsonb) as wanted
        cross join lateral (
            select key, band, rank from {schema}.task
            where lane = (wanted ->> 0)::integer and state = 2 and {which}
                and (band, rank) >= ((wanted ->> 1)::smallint, (wanted ->> 2)::bigint)
                and (band, rank) < ((wanted ->> 3)::smallint, (wanted ->> 4)::bigint)
            order by band, rank, key limit 2 * :most
        ) as ready
        union all
        select again.key, again.band, again.rank, null
        from jsonb_array_elements(:gaps::jsonb) as gap
        cross join lateral (
            select key, band, rank from {schema}.task
            where lane = (gap ->> 0)::integer and state = 2 and {which} and (claim > 0 or run_at is not null)
                and (band + 0, rank) >= ((gap ->> 1)::integer, (gap ->> 2)::bigint)
                and (band + 0, rank) < ((gap ->> 3)::integer, (gap ->> 4)::bigint)
            order by band + 0, rank, key limit 2 * :most
        ) as again
    ) as found
    where {gate}
    order by band, rank, key limit 2 * :most
),
locked as materialized (
    select key, band, rank, payload from {schema}.task
    where key = any(array(select key from candidate)) and state + 0 = 2 and {which}
    order by band, rank, key limit :most for no key update skip locked
),
sized as (
    select
        key, band, rank, row_number() over urgency as place,
        sum(case when left(payload, 2) = '#[' then split_part(substr(payload, 3), ',', 1)::bigint else 0 end)
            over urgency as bytes
    from locked window urgency as (order by band, rank, key)
),
claimed as (
    update {schema}.task set
        state = 3,
        claim = task.claim + 1,
        node = :node,
        claimed_in = :number,
        attempt = task.attempt + (task.verdict is null)::integer,
        cleanup = task.cleanup + (task.verdict is not null)::integer
    from sized
    where task.key = sized.key
        and (place <= :free or :worst_band::smallint is null
            or (sized.band, sized.rank) < (:worst_band::smallint, :worst_rank::bigint))
        and (place = 1 or bytes <= :most_bytes)
    returning task.*
)
select coalesce(json_agg(json_build_array(
    key, claim, id, lane, band, rank, attempt, deaths, losses, began, suspect, verdict, cleanup,
    coalesce(owed, '[]')::json, submitted, bell, origin, options, info, payload
) order by band, rank, key), '[]')::text, (
    select coalesce(json_agg(json_build_array(lane, band, rank)), '[]')::text
    from (
        select lane, band, min(rank) as rank from candidate where lane is not null and rank >= :back group by lane, band
    ) as first
)
from claimed
