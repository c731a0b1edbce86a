-- Deletes chunks.
delete from chunk where number in (select value from json_each(:chunks))
