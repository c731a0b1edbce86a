-- Takes out what this transaction has just stored though it had ended before: a statement of its own, since an end may
-- have been committed while the one before waited for it. Tells the time, too.
with known as (
    delete from {schema}.task using {schema}.ended where ended.id = any(:ids::text[]) and task.id = ended.id
    returning task.id
)
select {schema}.clock(), array(select id from known)
