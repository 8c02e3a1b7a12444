-- Register files that were imported, and what became of each row.

CREATE TABLE import (
    id         TEXT PRIMARY KEY,
    state      TEXT NOT NULL CHECK (state IN ('running', 'stored', 'undone')),
    rows_read  BIGINT NOT NULL DEFAULT 0,
    file       TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    undone_at  BIGINT
);
CREATE INDEX import_state ON import (state);

-- item: what is shown, JSON. cells: the row as it stood, only while it waits for an answer. updates: what it changed in
-- the register, so that it can be undone.
CREATE TABLE import_row (
    import_id         TEXT NOT NULL REFERENCES import (id),
    number            BIGINT NOT NULL,
    line              BIGINT NOT NULL,
    action            TEXT NOT NULL CHECK (action IN ('new', 'warn', 'ask', 'reject', 'skip', 'dup', 'same', 'update')),
    item              TEXT NOT NULL,
    cells             TEXT,
    updates           TEXT,
    contact_person_id TEXT,
    PRIMARY KEY (import_id, number)
);
CREATE INDEX import_row_action ON import_row (import_id, action, number);
CREATE INDEX import_row_person ON import_row (contact_person_id);

CREATE INDEX contact_person_phone2 ON contact_person (phone2);
CREATE INDEX contact_person_import ON contact_person (import_id);
CREATE INDEX area_import ON area (import_id);
