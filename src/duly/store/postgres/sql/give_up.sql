-- Gives up the nodes that were silent for longer than their own lease; not those that ask. One whose row is held just then,
-- by what it has sent before it was cut off, is left for later: nobody waits for it, and the others are not kept waiting.
-- Who was heard at a time that has not come yet, since the clock was set back, is taken to have been heard now.
with ahead as (
    update {schema}.node set seen = {schema}.clock() where number = any(array(
        select number from {schema}.node where not lost and seen > {schema}.clock() + lease for no key update skip locked
    ))
)
update {schema}.node set lost = true where number = any(array(
    select number from {schema}.node
    where not lost and seen < {schema}.clock() - lease and number <> all(:mine::integer[])
    for no key update skip locked
))
