-- What was carried from the product folder to other places.

-- A revision that a target has.
CREATE TABLE carried (
    target TEXT NOT NULL,
    product INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    carried_at TEXT NOT NULL,
    -- When the target was told that the revision was taken back.
    told_withdrawn_at TEXT,
    PRIMARY KEY (target, product)
) STRICT, WITHOUT ROWID;

-- The files in the product root that lead to the revisions, as a target has them: a digest of all.
CREATE TABLE carried_roots (
    target TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    carried_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
