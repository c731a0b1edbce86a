-- Stores a run of events.
insert into event (task, first, claim, attempt, body) values (:task, :first, :claim, :attempt, :body)
