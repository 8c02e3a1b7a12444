-- What became of ringing a person whom nothing reaches. The note goes with the person.
CREATE TABLE phone_call (
    id                TEXT PRIMARY KEY,
    contact_person_id TEXT NOT NULL,
    outcome           TEXT NOT NULL CHECK (outcome IN ('confirmed', 'new_details', 'not_reached', 'ended')),
    note              TEXT NOT NULL,
    called_by         TEXT NOT NULL,
    called_at         BIGINT NOT NULL,
    disposed_at       BIGINT
);
CREATE INDEX phone_call_person ON phone_call (contact_person_id, called_at);
CREATE INDEX phone_call_kept ON phone_call (called_at) WHERE disposed_at IS NULL;
