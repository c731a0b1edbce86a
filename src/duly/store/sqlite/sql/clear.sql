-- Makes room for another inventory.
delete from lane;
delete from pause;
delete from keeping;
delete from node;
