-- For how long the tasks of actions are kept: (action, version, keep, keep_failed).
select action, version, keep, keep_failed from {schema}.keeping order by action, version
