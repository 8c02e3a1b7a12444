-- A message whose audience is too large for one transaction, while it is written in pieces ('writing') and while its
-- deliveries become due in pieces ('releasing'). undo: what is left of the message when its freezing dies.
CREATE TABLE freezing (
    message_id  TEXT PRIMARY KEY REFERENCES message (id),
    stage       TEXT NOT NULL CHECK (stage IN ('writing', 'releasing')),
    undo        TEXT NOT NULL CHECK (undo IN ('remove', 'to_draft', 'keep')),
    fence       TEXT NOT NULL,
    seen_at     BIGINT NOT NULL,
    released_id BIGINT NOT NULL
);

-- The tables that grow by millions are made anew (docs/adr/0015-freezing-in-pieces.md):
-- SQLite builds the list of a CHECK (… IN (…)) for every row it writes, and a chain of OR stops at the first that fits;
-- {row id} is the type with which SQLite keeps a table in the order of its key instead of beside it;
-- UNIQUE (message_id, channel, address) took more time than all other indexes together. What it held is held by
-- domain::coverage, where addresses become deliveries, and checked by verify.
CREATE TABLE delivery_new (
    id                {row id} PRIMARY KEY,
    message_id        TEXT NOT NULL REFERENCES message (id),
    channel           TEXT NOT NULL CHECK (channel = 'sms' OR channel = 'email' OR channel = 'paper'),
    address           TEXT NOT NULL,
    contact_person_id TEXT,
    area_code         TEXT,
    persons           BIGINT NOT NULL,
    households        BIGINT NOT NULL,
    state             TEXT NOT NULL CHECK (state = 'queued' OR state = 'sending' OR state = 'accepted' OR state = 'delivered'
        OR state = 'in_doubt' OR state = 'undelivered' OR state = 'failed' OR state = 'expired' OR state = 'stopped'
        OR state = 'suppressed' OR state = 'unconfirmed'),
    reason            TEXT,
    detail            TEXT,
    priority          BIGINT NOT NULL,
    due_at            BIGINT NOT NULL,
    place             BIGINT NOT NULL,
    expires_at        BIGINT NOT NULL,
    waits_for         BIGINT,
    attempts          BIGINT NOT NULL DEFAULT 0,
    gateway           TEXT,
    gateway_ref       TEXT,
    parts             BIGINT,
    lease_owner       TEXT,
    lease_fence       BIGINT NOT NULL DEFAULT 0,
    lease_until_at    BIGINT,
    stamped_at        BIGINT,
    queued_at         BIGINT NOT NULL,
    accepted_at       BIGINT,
    doubted_at        BIGINT,
    final_at          BIGINT,
    version           BIGINT NOT NULL DEFAULT 0
);
INSERT INTO delivery_new (id, message_id, channel, address, contact_person_id, area_code, persons, households, state, reason,
  detail, priority, due_at, place, expires_at, waits_for, attempts, gateway, gateway_ref, parts, lease_owner, lease_fence,
  lease_until_at, stamped_at, queued_at, accepted_at, doubted_at, final_at, version)
SELECT id, message_id, channel, address, contact_person_id, area_code, persons, households, state, reason,
  detail, priority, due_at, place, expires_at, waits_for, attempts, gateway, gateway_ref, parts, lease_owner, lease_fence,
  lease_until_at, stamped_at, queued_at, accepted_at, doubted_at, final_at, version
FROM delivery
ORDER BY id;

CREATE TABLE message_recipient_new (
    message_id        TEXT NOT NULL REFERENCES message (id),
    contact_person_id TEXT NOT NULL,
    channel           TEXT NOT NULL,
    delivery_id       BIGINT REFERENCES delivery_new (id),
    area_code         TEXT NOT NULL,
    households        BIGINT NOT NULL,
    not_reached       TEXT,
    PRIMARY KEY (message_id, contact_person_id, channel)
);
INSERT INTO message_recipient_new (message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached)
SELECT message_id, contact_person_id, channel, delivery_id, area_code, households, not_reached
FROM message_recipient;

CREATE TABLE attempt_new (
    delivery_id BIGINT NOT NULL REFERENCES delivery_new (id),
    number      BIGINT NOT NULL,
    gateway     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    stamped_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    outcome     TEXT CHECK (outcome = 'accepted' OR outcome = 'rejected' OR outcome = 'retry' OR outcome = 'in_doubt'
        OR outcome = 'not_sent' OR outcome = 'absent'),
    reason      TEXT,
    detail      TEXT,
    gateway_ref TEXT,
    PRIMARY KEY (delivery_id, number)
);
INSERT INTO attempt_new (delivery_id, number, gateway, owner, stamped_at, ended_at, outcome, reason, detail, gateway_ref)
SELECT delivery_id, number, gateway, owner, stamped_at, ended_at, outcome, reason, detail, gateway_ref
FROM attempt;

CREATE TABLE delivery_event_new (
    delivery_id BIGINT NOT NULL REFERENCES delivery_new (id),
    version     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    from_state  TEXT NOT NULL,
    to_state    TEXT NOT NULL,
    reason      TEXT,
    batch       TEXT NOT NULL,
    PRIMARY KEY (delivery_id, version)
);
INSERT INTO delivery_event_new (delivery_id, version, at, from_state, to_state, reason, batch)
SELECT delivery_id, version, at, from_state, to_state, reason, batch
FROM delivery_event;

DROP TABLE message_recipient;
DROP TABLE attempt;
DROP TABLE delivery_event;
DROP TABLE delivery;
ALTER TABLE delivery_new RENAME TO delivery;
ALTER TABLE message_recipient_new RENAME TO message_recipient;
ALTER TABLE attempt_new RENAME TO attempt;
ALTER TABLE delivery_event_new RENAME TO delivery_event;

CREATE INDEX delivery_message ON delivery (message_id, id);
CREATE INDEX delivery_due ON delivery (channel, priority, due_at, place, id) WHERE state = 'queued';
CREATE INDEX delivery_lease ON delivery (lease_owner) WHERE state = 'sending';
CREATE INDEX delivery_sending ON delivery (message_id) WHERE state = 'sending';
CREATE INDEX delivery_expiry ON delivery (expires_at) WHERE state = 'queued';
CREATE INDEX delivery_doubt ON delivery (gateway, stamped_at) WHERE state = 'in_doubt';
CREATE INDEX delivery_accepted ON delivery (channel, accepted_at) WHERE state = 'accepted';
CREATE INDEX delivery_ref ON delivery (gateway, gateway_ref) WHERE gateway_ref IS NOT NULL;
CREATE INDEX delivery_waits ON delivery (waits_for) WHERE waits_for IS NOT NULL;
CREATE INDEX delivery_paper ON delivery (message_id, id) WHERE channel = 'paper';
CREATE INDEX message_recipient_delivery ON message_recipient (delivery_id);
CREATE INDEX message_recipient_person ON message_recipient (contact_person_id);
CREATE INDEX delivery_event_batch ON delivery_event (batch);
