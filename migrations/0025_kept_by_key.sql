-- What grows by several rows for each delivery is kept by SQLite in the order of its key, and not beside an index of it: four
-- B-trees fewer are written for each SMS, one fewer for each person who is frozen. PostgreSQL has its rows beside their key anyway.
{on sqlite}CREATE TABLE message_recipient_new (
{on sqlite}    message_id        TEXT NOT NULL REFERENCES message (id),
{on sqlite}    contact_person_id TEXT NOT NULL,
{on sqlite}    channel           TEXT NOT NULL,
{on sqlite}    delivery_id       BIGINT REFERENCES delivery (id),
{on sqlite}    area_code         TEXT NOT NULL,
{on sqlite}    households        BIGINT NOT NULL,
{on sqlite}    not_reached       TEXT,
{on sqlite}    PRIMARY KEY (message_id, contact_person_id, channel)
{on sqlite}){by its key};
{on sqlite}INSERT INTO message_recipient_new (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
{on sqlite}SELECT message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached
{on sqlite}FROM message_recipient
{on sqlite}ORDER BY message_id, contact_person_id, channel;

{on sqlite}CREATE TABLE attempt_new (
{on sqlite}    delivery_id BIGINT NOT NULL REFERENCES delivery (id),
{on sqlite}    number      BIGINT NOT NULL,
{on sqlite}    gateway     TEXT NOT NULL,
{on sqlite}    owner       TEXT NOT NULL,
{on sqlite}    stamped_at  BIGINT NOT NULL,
{on sqlite}    ended_at    BIGINT,
{on sqlite}    outcome     TEXT CHECK (outcome = 'accepted' OR outcome = 'rejected' OR outcome = 'retry' OR outcome = 'in_doubt'
{on sqlite}        OR outcome = 'not_sent' OR outcome = 'absent'),
{on sqlite}    reason      TEXT,
{on sqlite}    detail      TEXT,
{on sqlite}    gateway_ref TEXT,
{on sqlite}    PRIMARY KEY (delivery_id, number)
{on sqlite}){by its key};
{on sqlite}INSERT INTO attempt_new (delivery_id, number, gateway, owner, stamped_at, ended_at, outcome, reason, detail, gateway_ref)
{on sqlite}SELECT delivery_id, number, gateway, owner, stamped_at, ended_at, outcome, reason, detail, gateway_ref
{on sqlite}FROM attempt
{on sqlite}ORDER BY delivery_id, number;

{on sqlite}CREATE TABLE delivery_event_new (
{on sqlite}    delivery_id BIGINT NOT NULL REFERENCES delivery (id),
{on sqlite}    version     BIGINT NOT NULL,
{on sqlite}    at          BIGINT NOT NULL,
{on sqlite}    from_state  TEXT NOT NULL,
{on sqlite}    to_state    TEXT NOT NULL,
{on sqlite}    reason      TEXT,
{on sqlite}    batch       TEXT NOT NULL,
{on sqlite}    PRIMARY KEY (delivery_id, version)
{on sqlite}){by its key};
{on sqlite}INSERT INTO delivery_event_new (delivery_id, version, at, from_state, to_state, reason, batch)
{on sqlite}SELECT delivery_id, version, at, from_state, to_state, reason, batch
{on sqlite}FROM delivery_event
{on sqlite}ORDER BY delivery_id, version;

{on sqlite}CREATE TABLE receipt_new (
{on sqlite}    delivery_id BIGINT NOT NULL,
{on sqlite}    attempt     BIGINT NOT NULL,
{on sqlite}    word        TEXT NOT NULL,
{on sqlite}    gateway     TEXT NOT NULL,
{on sqlite}    gateway_ref TEXT NOT NULL,
{on sqlite}    state       TEXT,
{on sqlite}    received_at BIGINT NOT NULL,
{on sqlite}    moved       BIGINT NOT NULL DEFAULT 0,
{on sqlite}    PRIMARY KEY (delivery_id, attempt, word)
{on sqlite}){by its key};
{on sqlite}INSERT INTO receipt_new (delivery_id, attempt, word, gateway, gateway_ref, state, received_at, moved)
{on sqlite}SELECT delivery_id, attempt, word, gateway, gateway_ref, state, received_at, moved
{on sqlite}FROM receipt
{on sqlite}ORDER BY delivery_id, attempt, word;

{on sqlite}DROP TABLE message_recipient;
{on sqlite}DROP TABLE attempt;
{on sqlite}DROP TABLE delivery_event;
{on sqlite}DROP TABLE receipt;
{on sqlite}ALTER TABLE message_recipient_new RENAME TO message_recipient;
{on sqlite}ALTER TABLE attempt_new RENAME TO attempt;
{on sqlite}ALTER TABLE delivery_event_new RENAME TO delivery_event;
{on sqlite}ALTER TABLE receipt_new RENAME TO receipt;

{on sqlite}CREATE INDEX message_recipient_delivery ON message_recipient (delivery_id);
{on sqlite}CREATE INDEX message_recipient_person ON message_recipient (contact_person_id);
{on sqlite}CREATE INDEX delivery_event_batch ON delivery_event (batch);

-- Leased rows are few: those of one daemon are found among them by the index of messages (delivery_sending).
DROP INDEX delivery_lease;
