-- Names that hold on both databases: TEXT or BIGINT columns only, times BIGINT Unix ms UTC named *_at,
-- states TEXT with CHECK, flags BIGINT 0/1, JSON as TEXT.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE area (
    code       TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('police_area', 'local_police_area', 'municipality', 'watch_area', 'drill_group')),
    parent     TEXT REFERENCES area (code),
    created_at BIGINT NOT NULL,
    import_id  TEXT
);
CREATE INDEX area_parent ON area (parent);

CREATE TABLE contact_person (
    id                     TEXT PRIMARY KEY,
    name                   TEXT NOT NULL,
    mobile                 TEXT,
    phone2                 TEXT,
    email                  TEXT,
    email2                 TEXT,
    address                TEXT NOT NULL DEFAULT '',
    postcode               TEXT NOT NULL DEFAULT '',
    place                  TEXT NOT NULL DEFAULT '',
    area_code              TEXT NOT NULL REFERENCES area (code),
    households             BIGINT NOT NULL DEFAULT 1,
    language               TEXT NOT NULL DEFAULT 'sv',
    letters                BIGINT NOT NULL DEFAULT 1,
    alerts                 BIGINT NOT NULL DEFAULT 1,
    note                   TEXT NOT NULL DEFAULT '',
    protected              BIGINT NOT NULL DEFAULT 0,
    paused_until_at        BIGINT,
    alerts_opt_out_at      BIGINT,
    alerts_opt_out_source  TEXT,
    letters_opt_out_at     BIGINT,
    letters_opt_out_source TEXT,
    name_key               TEXT NOT NULL,
    email_key              TEXT,
    address_key            TEXT NOT NULL DEFAULT '',
    import_id              TEXT,
    created_at             BIGINT NOT NULL,
    updated_at             BIGINT NOT NULL,
    erased_at              BIGINT
);
CREATE INDEX contact_person_area ON contact_person (area_code);
CREATE INDEX contact_person_mobile ON contact_person (mobile);
CREATE INDEX contact_person_email ON contact_person (email_key);
CREATE INDEX contact_person_name ON contact_person (name_key, address_key);

-- Addresses that must not come back, as keyed digests: opted out or erased, without saying who.
CREATE TABLE suppression (
    fingerprint TEXT NOT NULL,
    channel     TEXT NOT NULL CHECK (channel IN ('sms', 'email', 'person')),
    source      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (fingerprint, channel)
);

CREATE TABLE message (
    id               TEXT PRIMARY KEY,
    number           BIGINT NOT NULL UNIQUE,
    kind             TEXT NOT NULL CHECK (kind IN ('alert', 'letter', 'test')),
    state            TEXT NOT NULL CHECK (state IN ('draft', 'awaiting_approval', 'queued', 'sending', 'handed_over', 'done', 'stopped')),
    priority         BIGINT NOT NULL,
    revision         BIGINT NOT NULL,
    content_hash     TEXT NOT NULL,
    body             TEXT NOT NULL DEFAULT '',
    audience         TEXT NOT NULL DEFAULT '{}',
    reach_persons    BIGINT NOT NULL DEFAULT 0,
    reach_households BIGINT NOT NULL DEFAULT 0,
    follows          TEXT REFERENCES message (id),
    follow_up_kind   TEXT CHECK (follow_up_kind IN ('all_clear', 'correction', 'update')),
    send_at          BIGINT,
    sends_at         BIGINT,
    undo_seconds     BIGINT NOT NULL DEFAULT 0,
    expires_at       BIGINT,
    stopped_at       BIGINT,
    handed_over_at   BIGINT,
    done_at          BIGINT,
    created_by       TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    changed_at       BIGINT NOT NULL
);
CREATE INDEX message_kind ON message (kind, id);
CREATE INDEX message_changed ON message (changed_at, id);

-- The areas a message goes to: chosen = 1 for those named, 0 for what lies below them.
CREATE TABLE message_area (
    message_id TEXT NOT NULL REFERENCES message (id),
    area_code  TEXT NOT NULL,
    chosen     BIGINT NOT NULL,
    PRIMARY KEY (message_id, area_code)
);

-- Deliveries that are leased count as queued here: how many are is counted from the few leased rows.
CREATE TABLE message_count (
    message_id TEXT NOT NULL REFERENCES message (id),
    state      TEXT NOT NULL,
    deliveries BIGINT NOT NULL,
    PRIMARY KEY (message_id, state)
);

-- Who wrote, approved, returned or broke the glass for which revision.
CREATE TABLE message_review (
    message_id   TEXT NOT NULL REFERENCES message (id),
    position     BIGINT NOT NULL,
    revision     BIGINT NOT NULL,
    act          TEXT NOT NULL CHECK (act IN ('written', 'approved', 'returned', 'unreviewed')),
    actor        TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    reason       TEXT NOT NULL DEFAULT '',
    at           BIGINT NOT NULL,
    PRIMARY KEY (message_id, position)
);

CREATE TABLE alert (
    message_id         TEXT PRIMARY KEY REFERENCES message (id),
    text               TEXT NOT NULL,
    kind               TEXT NOT NULL CHECK (kind IN ('observation', 'information')),
    spread             TEXT NOT NULL CHECK (spread IN ('households', 'contact_person_only')),
    decided_by         TEXT NOT NULL,
    drill              BIGINT NOT NULL,
    expires_in_minutes BIGINT NOT NULL
);

-- One row per (message, channel, address). id = message.number * 10,000,000 + place in the order of hand-over.
CREATE TABLE delivery (
    id                BIGINT PRIMARY KEY,
    message_id        TEXT NOT NULL REFERENCES message (id),
    channel           TEXT NOT NULL CHECK (channel IN ('sms', 'email', 'paper')),
    address           TEXT NOT NULL,
    contact_person_id TEXT,
    area_code         TEXT,
    persons           BIGINT NOT NULL,
    households        BIGINT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'accepted', 'in_doubt', 'delivered', 'undelivered',
                                                     'failed', 'expired', 'stopped', 'suppressed', 'unconfirmed')),
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
    version           BIGINT NOT NULL DEFAULT 0,
    UNIQUE (message_id, channel, address)
);
CREATE INDEX delivery_due ON delivery (channel, priority, due_at, place, id) WHERE state = 'queued';
CREATE INDEX delivery_lease ON delivery (lease_owner) WHERE state = 'sending';
CREATE INDEX delivery_sending ON delivery (message_id) WHERE state = 'sending';
CREATE INDEX delivery_expiry ON delivery (expires_at) WHERE state = 'queued';
CREATE INDEX delivery_doubt ON delivery (gateway, stamped_at) WHERE state = 'in_doubt';
CREATE INDEX delivery_accepted ON delivery (channel, accepted_at) WHERE state = 'accepted';
CREATE INDEX delivery_ref ON delivery (gateway, gateway_ref) WHERE gateway_ref IS NOT NULL;
CREATE INDEX delivery_waits ON delivery (waits_for) WHERE waits_for IS NOT NULL;

-- The persons frozen into a message; delivery_id is NULL for those not reached, and why.
CREATE TABLE message_recipient (
    message_id        TEXT NOT NULL REFERENCES message (id),
    contact_person_id TEXT NOT NULL,
    channel           TEXT NOT NULL,
    delivery_id       BIGINT REFERENCES delivery (id),
    area_code         TEXT NOT NULL,
    households        BIGINT NOT NULL,
    not_reached       TEXT,
    PRIMARY KEY (message_id, contact_person_id, channel)
);
CREATE INDEX message_recipient_delivery ON message_recipient (delivery_id);
CREATE INDEX message_recipient_person ON message_recipient (contact_person_id);

CREATE TABLE attempt (
    delivery_id BIGINT NOT NULL REFERENCES delivery (id),
    number      BIGINT NOT NULL,
    gateway     TEXT NOT NULL,
    owner       TEXT NOT NULL,
    stamped_at  BIGINT NOT NULL,
    ended_at    BIGINT,
    outcome     TEXT CHECK (outcome IN ('accepted', 'rejected', 'retry', 'in_doubt', 'not_sent', 'absent')),
    reason      TEXT,
    detail      TEXT,
    gateway_ref TEXT,
    PRIMARY KEY (delivery_id, number)
);

-- Every change of a delivery's state, in order. version is the delivery's own count of changes.
CREATE TABLE delivery_event (
    delivery_id BIGINT NOT NULL REFERENCES delivery (id),
    version     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    from_state  TEXT NOT NULL,
    to_state    TEXT NOT NULL,
    reason      TEXT,
    batch       TEXT NOT NULL,
    PRIMARY KEY (delivery_id, version)
);
CREATE INDEX delivery_event_batch ON delivery_event (batch);

-- Delivery reports as they came; the same word twice for one attempt is one row.
CREATE TABLE receipt (
    delivery_id BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    word        TEXT NOT NULL,
    gateway     TEXT NOT NULL,
    gateway_ref TEXT NOT NULL,
    state       TEXT,
    received_at BIGINT NOT NULL,
    moved       BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (delivery_id, attempt, word)
);

CREATE TABLE gateway_pace (
    gateway      TEXT PRIMARY KEY,
    next_slot_us BIGINT NOT NULL
);

CREATE TABLE gateway_state (
    gateway         TEXT PRIMARY KEY,
    state           TEXT NOT NULL CHECK (state IN ('up', 'down', 'stopped')),
    reason          TEXT,
    since_at        BIGINT NOT NULL,
    last_answer_at  BIGINT,
    last_receipt_at BIGINT,
    balance         TEXT,
    changed_at      BIGINT NOT NULL
);

CREATE TABLE daemon (
    id         TEXT PRIMARY KEY,
    lock_key   BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL,
    ended_at   BIGINT
);

CREATE TABLE decision (
    id         TEXT PRIMARY KEY,
    outcome    TEXT NOT NULL CHECK (outcome IN ('sent', 'not_sent')),
    decided_by TEXT NOT NULL,
    reason     TEXT NOT NULL DEFAULT '',
    areas      TEXT NOT NULL DEFAULT '[]',
    message_id TEXT REFERENCES message (id),
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE operator (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    email       TEXT NOT NULL UNIQUE,
    role        TEXT NOT NULL,
    area_code   TEXT NOT NULL REFERENCES area (code),
    created_at  BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE sign_in_link (
    token_hash  TEXT PRIMARY KEY,
    operator_id TEXT NOT NULL REFERENCES operator (id),
    expires_at  BIGINT NOT NULL,
    used_at     BIGINT
);

CREATE TABLE api_key (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    key_hash     TEXT NOT NULL UNIQUE,
    role         TEXT NOT NULL,
    area_code    TEXT NOT NULL REFERENCES area (code),
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at   BIGINT
);

CREATE TABLE idempotency (
    caller       TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    answer_code  BIGINT NOT NULL,
    answer       TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- seq and hash are set by the sealer within a second.
CREATE TABLE audit (
    id          TEXT PRIMARY KEY,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    object_kind TEXT NOT NULL,
    object_id   TEXT NOT NULL,
    detail      TEXT NOT NULL,
    seq         BIGINT UNIQUE,
    hash        TEXT
);
CREATE INDEX audit_unsealed ON audit (id) WHERE seq IS NULL;
CREATE INDEX audit_object ON audit (object_id);

-- Incoming SMS as they came, before anything is read out of them.
CREATE TABLE inbound_sms (
    gateway     TEXT NOT NULL,
    digest      TEXT NOT NULL,
    raw         TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (gateway, digest)
);
