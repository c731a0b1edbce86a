-- The nodes that live: not given up, and heard of within their own lease, but for those that ask.
select number from {schema}.node
where not lost and not gone and (seen >= {schema}.clock() - lease or number = any(:mine::integer[]))
