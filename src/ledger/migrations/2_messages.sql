-- How far people were told of an incident, and the messages that tell them.

ALTER TABLE incidents ADD COLUMN acknowledged_at TEXT;
-- When the first message was queued, and the greatest severity that was told of.
ALTER TABLE incidents ADD COLUMN told_at TEXT;
ALTER TABLE incidents ADD COLUMN told_severity TEXT CHECK (told_severity IN ('notice', 'warning', 'failure'));
-- Reminders so far, when the last was queued, and when the next is due; NULL where there will be none.
ALTER TABLE incidents ADD COLUMN reminders INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN reminded_at TEXT;
ALTER TABLE incidents ADD COLUMN remind_at TEXT;
ALTER TABLE incidents ADD COLUMN recovery_told_at TEXT;

-- A message as it was when it was queued. What must be said once only has a key.
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('first', 'reminder', 'recovery', 'digest', 'announcement')),
    key TEXT UNIQUE,
    incident INTEGER REFERENCES incidents (id),
    severity TEXT NOT NULL CHECK (severity IN ('notice', 'warning', 'failure')),
    queued_at TEXT NOT NULL,
    payload TEXT NOT NULL,
    CHECK ((kind IN ('first', 'reminder', 'recovery')) = (incident IS NOT NULL))
) STRICT;

CREATE INDEX messages_by_incident ON messages (incident);

-- A message on its way to one recipient by one channel: each goes, and fails, by itself.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    message INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    channel TEXT NOT NULL CHECK (channel IN ('mail', 'webhook')),
    recipient TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at TEXT NOT NULL,
    -- Whether the last try failed before the server saw the message: then the same happens to every message of the channel.
    is_channel_down INTEGER NOT NULL DEFAULT 0 CHECK (is_channel_down IN (0, 1)),
    last_error TEXT,
    sent_at TEXT,
    UNIQUE (message, channel, recipient)
) STRICT;

CREATE INDEX unsent_deliveries ON deliveries (message) WHERE sent_at IS NULL;
