-- Notes that rows name these chunks now, or that they are gone.
delete from loose where chunk in (select value from json_each(:chunks))
