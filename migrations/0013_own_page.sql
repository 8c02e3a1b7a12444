-- A contact person's own page. A link is asked for by e-mail and opens one session; tokens are kept as digests only.
-- delivery_id: the mail that carries the link. asked_by: who asked, an actor's id.
CREATE TABLE own_page_link (
    token_hash        TEXT PRIMARY KEY,
    contact_person_id TEXT NOT NULL,
    delivery_id       BIGINT NOT NULL,
    asked_by          TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    used_at           BIGINT
);
CREATE INDEX own_page_link_person ON own_page_link (contact_person_id, created_at);

-- One row is one browser that a contact person comes from; what ends is removed. It has nothing to do with sign_in_session.
CREATE TABLE own_page_session (
    id                TEXT PRIMARY KEY,
    token_hash        TEXT NOT NULL UNIQUE,
    contact_person_id TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    seen_at           BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL
);
CREATE INDEX own_page_session_person ON own_page_session (contact_person_id);

-- 1 for what was left at the own page; channel and sender then say where it is answered.
ALTER TABLE observation ADD COLUMN via_page BIGINT NOT NULL DEFAULT 0;

-- Who watches the replies to an alert that asks for observations, by function, and the number that is told when an acute
-- one waits; empty = nobody was named, or the configured number.
ALTER TABLE alert ADD COLUMN watched_by TEXT NOT NULL DEFAULT '';
ALTER TABLE alert ADD COLUMN duty_number TEXT NOT NULL DEFAULT '';
