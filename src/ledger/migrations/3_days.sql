-- How days stand, the productions that worked on them, and what was published.

-- A day that was looked at or asked for.
CREATE TABLE days (
    day TEXT PRIMARY KEY,
    state TEXT NOT NULL
        CHECK (state IN ('waiting', 'running', 'provisional', 'final', 'failed', 'off_season', 'gap')),
    -- Why it stands so, in a sentence.
    note TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    -- Productions that failed since one succeeded.
    failures INTEGER NOT NULL DEFAULT 0,
    failed_at TEXT,
    -- When a person asked for it, until that is settled; and whether a product that stands is to be made again.
    asked_at TEXT,
    asked_again INTEGER NOT NULL DEFAULT 0 CHECK (asked_again IN (0, 1))
) STRICT, WITHOUT ROWID;

CREATE INDEX days_asked_for ON days (day) WHERE asked_at IS NOT NULL;

-- A production: a process that worked on a day. One without an outcome is at work, or was cut off with whoever watched over it.
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('schedule', 'backfill', 'person')),
    -- The number that its product has, should there be one.
    revision INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at TEXT,
    outcome TEXT CHECK (outcome IN ('published', 'failed', 'killed', 'abandoned', 'lost')),
    exit_code INTEGER,
    -- Why it ended so, in a sentence; none where it published.
    reason TEXT,
    device TEXT,
    peak_memory_bytes INTEGER,
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;

CREATE INDEX runs_by_day ON runs (day);
CREATE INDEX runs_by_end ON runs (ended_at, outcome);
CREATE INDEX runs_by_outcome ON runs (outcome) WHERE outcome IS NOT NULL;
CREATE INDEX runs_at_work ON runs (day) WHERE outcome IS NULL;

CREATE TABLE run_stages (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    stage TEXT NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (run, position)
) STRICT, WITHOUT ROWID;

-- A published revision. Its run is unknown where it was found in the product folder.
CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    revision INTEGER NOT NULL,
    run INTEGER REFERENCES runs (id),
    status TEXT NOT NULL CHECK (status IN ('provisional', 'final')),
    published_at TEXT NOT NULL,
    folder TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    manifest_sha256 TEXT NOT NULL,
    checkpoint_sha256 TEXT NOT NULL,
    config_hash TEXT NOT NULL,
    -- What is worse than it should be beside aged inputs, in a sentence.
    degradation TEXT,
    withdrawn_at TEXT,
    withdrawal_reason TEXT,
    -- When its files were cleared away.
    removed_at TEXT,
    UNIQUE (day, revision),
    CHECK ((withdrawn_at IS NULL) = (withdrawal_reason IS NULL))
) STRICT;

CREATE INDEX products_by_time ON products (published_at);

-- What a product was made of.
CREATE TABLE product_inputs (
    product INTEGER NOT NULL REFERENCES products (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    -- Days from the file's centre to the day.
    age_days REAL NOT NULL,
    PRIMARY KEY (product, role)
) STRICT, WITHOUT ROWID;

-- Times in which a person lets nothing be produced. The last one holds while it has no end.
CREATE TABLE holds (
    id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    began_at TEXT NOT NULL,
    ended_at TEXT
) STRICT;

CREATE UNIQUE INDEX one_hold_at_a_time ON holds ((ended_at IS NULL)) WHERE ended_at IS NULL;

-- What is done once a day, and for which day it was done last.
CREATE TABLE chores (
    name TEXT PRIMARY KEY,
    day TEXT NOT NULL,
    done_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
