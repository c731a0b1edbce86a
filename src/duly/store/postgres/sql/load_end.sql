-- Lets nobody write any more.
update {schema}.moving set what = 'coming' where what = 'loading'
