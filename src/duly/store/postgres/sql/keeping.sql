-- For how long the tasks of each lane are kept; lanes that no worker has spoken for are left out.
select lane.number, keep, keep_failed from {schema}.keeping join {schema}.lane using (action, version)
