-- Where a revision lies follows from its day and number: what stood here was wrong once the product folder had moved.
ALTER TABLE products DROP COLUMN folder;

-- Where a target was when something was carried to it last: at another place it has nothing.
CREATE TABLE target_places (
    target TEXT PRIMARY KEY,
    place TEXT NOT NULL
) STRICT, WITHOUT ROWID;
