-- Stores for how long the tasks of an action are kept.
insert into keeping (action, version, keep, keep_failed) values (:action, :version, :keep, :keep_failed)
