-- Adds a piece of a large text, which is loose until a row names it; as a statement that is its own transaction.
insert into chunk (made_at, data) values (:now, :data)
