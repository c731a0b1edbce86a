-- Lets nobody write any more.
update moving set what = 'coming' where what = 'loading'
