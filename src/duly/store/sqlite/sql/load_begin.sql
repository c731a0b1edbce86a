-- Lets this transaction write to a store to which a move is coming.
update moving set what = 'loading' where what = 'coming'
