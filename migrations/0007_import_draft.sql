-- Register files on their way through the pages, from the upload to the import. Removed when dropped or a day old.

-- overrides: what somebody set instead of what was found, JSON. parts: how many there are, 0 until all have come.
CREATE TABLE import_draft (
    id         TEXT PRIMARY KEY,
    created_by TEXT NOT NULL,
    parts      BIGINT NOT NULL,
    overrides  TEXT NOT NULL,
    import_id  TEXT,
    created_at BIGINT NOT NULL
);
CREATE INDEX import_draft_created ON import_draft (created_at);

-- The file's bytes in Base64, in pieces.
CREATE TABLE import_draft_part (
    draft_id TEXT NOT NULL REFERENCES import_draft (id),
    number   BIGINT NOT NULL,
    content  TEXT NOT NULL,
    PRIMARY KEY (draft_id, number)
);
