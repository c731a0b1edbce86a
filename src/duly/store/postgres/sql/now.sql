-- The time.
select {schema}.clock()
