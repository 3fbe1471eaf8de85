-- Input files and what they were judged to be, the inputs of days, gaps, incidents.
-- Days are written 2026-03-01, times 2026-03-01T12:00:00.000Z (UTC), sums in hexadecimal.

-- A file as it came. The same name with other bytes is another file; bytes that come again are the same file, judged anew.
CREATE TABLE files (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    role TEXT NOT NULL,
    product TEXT NOT NULL,
    first_day TEXT NOT NULL,
    last_day TEXT NOT NULL,
    centre TEXT NOT NULL,
    server TEXT NOT NULL,
    url TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    fetched_at TEXT NOT NULL,
    judged_at TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'refused')),
    refusal_kind TEXT,
    refusal_reason TEXT,
    quarantine TEXT,
    UNIQUE (sha256, name),
    CHECK ((verdict = 'refused') = (refusal_kind IS NOT NULL)),
    CHECK ((verdict = 'refused') = (refusal_reason IS NOT NULL)),
    CHECK (verdict = 'refused' OR quarantine IS NULL)
) STRICT;

CREATE INDEX files_by_centre ON files (role, verdict, centre);

-- What was measured on a file when it was last judged. A measure that could not be taken is NULL, and so is a limit that was not set.
CREATE TABLE checks (
    file INTEGER NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    measured REAL,
    least REAL,
    most REAL,
    passed INTEGER NOT NULL CHECK (passed IN (0, 1)),
    PRIMARY KEY (file, name)
) STRICT, WITHOUT ROWID;

-- Which file was chosen for a day: one row for every change of mind, the last one holds.
CREATE TABLE day_inputs (
    id INTEGER PRIMARY KEY,
    day TEXT NOT NULL,
    role TEXT NOT NULL,
    file INTEGER NOT NULL REFERENCES files (id),
    age_days INTEGER NOT NULL,
    recorded_at TEXT NOT NULL
) STRICT;

CREATE INDEX day_inputs_by_day ON day_inputs (day, role);
CREATE INDEX day_inputs_by_file ON day_inputs (file);

-- Days for which an input is not waited for any more.
CREATE TABLE gaps (
    day TEXT NOT NULL,
    role TEXT NOT NULL,
    reason TEXT NOT NULL,
    declared_at TEXT NOT NULL,
    PRIMARY KEY (day, role)
) STRICT, WITHOUT ROWID;

-- What people are told. A cause has one open incident at a time, however often it shows.
CREATE TABLE incidents (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    severity TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'failure')),
    text TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    last_seen_at TEXT NOT NULL,
    count INTEGER NOT NULL DEFAULT 1,
    closed_at TEXT
) STRICT;

CREATE UNIQUE INDEX one_open_incident_for_a_key ON incidents (key) WHERE closed_at IS NULL;
CREATE INDEX incidents_by_key ON incidents (key);
