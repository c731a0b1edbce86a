-- Reads chunks in this order.
select data from json_each(:chunks) as named join chunk on chunk.number = named.value order by named.key
