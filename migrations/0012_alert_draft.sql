-- Alerts that somebody has begun to write: the fields of the page as they stand, saved while one types. A draft goes when it
-- is sent, thrown away or a week old.
CREATE TABLE alert_draft (
    id         TEXT PRIMARY KEY,
    form       TEXT NOT NULL,
    revision   BIGINT NOT NULL,
    area_code  TEXT NOT NULL REFERENCES area (code),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    written_by TEXT NOT NULL,
    written_at BIGINT NOT NULL
);
CREATE INDEX alert_draft_written ON alert_draft (written_at);
