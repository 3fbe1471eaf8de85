-- Where a revision lies follows from its day and number: what stood here was wrong once the product folder had moved.
ALTER TABLE products DROP COLUMN folder;

-- The names of the files in the product root that a target has, one a line: those that are there no more have to go there, too.
ALTER TABLE carried_roots ADD COLUMN files TEXT NOT NULL DEFAULT '';
