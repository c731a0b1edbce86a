-- Gives up the nodes that were silent for longer than their own lease; not those that ask.
update {schema}.node set lost = true where not lost and seen < {schema}.clock() - lease and number <> all(:mine::integer[])
