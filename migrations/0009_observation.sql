-- Incoming SMS are read in the background: read_at is set in the transaction that makes something of them. tries counts
-- readings that failed, so that one SMS nobody can read does not hold up those behind it.
ALTER TABLE inbound_sms ADD COLUMN read_at BIGINT;
ALTER TABLE inbound_sms ADD COLUMN tries BIGINT NOT NULL DEFAULT 0;
ALTER TABLE inbound_sms ADD COLUMN observation_id TEXT;
CREATE INDEX inbound_sms_unread ON inbound_sms (tries, received_at) WHERE read_at IS NULL;
CREATE INDEX inbound_sms_observation ON inbound_sms (observation_id) WHERE observation_id IS NOT NULL;

-- What somebody answered. reference is the provider's own id: the same answer brought twice is one row.
-- kind: 'observation' for people to work with; 'command' for STOP and the like, 'spread' for a word that the information was
-- passed on, 'automatic' for what a machine sent: these three are kept and shown in the thread, and nobody has to answer them.
-- message_id: the alert or letter it answers; alternative_id: the other one that fitted.
-- part_of: the first part, where a long SMS came in pieces; position is the order among them.
CREATE TABLE observation (
    id                TEXT PRIMARY KEY,
    channel           TEXT NOT NULL CHECK (channel = 'sms' OR channel = 'email'),
    reference         TEXT NOT NULL,
    sender            TEXT NOT NULL,
    contact_person_id TEXT,
    area_code         TEXT,
    message_id        TEXT REFERENCES message (id),
    alternative_id    TEXT REFERENCES message (id),
    kind              TEXT NOT NULL CHECK (kind = 'observation' OR kind = 'command' OR kind = 'spread' OR kind = 'automatic'),
    part_of           TEXT REFERENCES observation (id),
    text              TEXT NOT NULL,
    state             TEXT NOT NULL CHECK (state = 'received' OR state = 'assessed' OR state = 'acted' OR state = 'fed_back'),
    owner             TEXT,
    place             TEXT NOT NULL DEFAULT '',
    seen_at           BIGINT,
    is_urgent         BIGINT NOT NULL DEFAULT 0,
    taken_at          BIGINT,
    duty_told_at      BIGINT,
    answer_by_at      BIGINT,
    answered_at       BIGINT,
    fed_back_at       BIGINT,
    archived_at       BIGINT,
    sent_at           BIGINT,
    received_at       BIGINT NOT NULL,
    changed_at        BIGINT NOT NULL,
    UNIQUE (channel, reference)
);
CREATE INDEX observation_person ON observation (contact_person_id, id);
CREATE INDEX observation_sender ON observation (sender, received_at);
CREATE INDEX observation_message ON observation (message_id, id) WHERE message_id IS NOT NULL;
CREATE INDEX observation_part ON observation (part_of) WHERE part_of IS NOT NULL;
CREATE INDEX observation_changed ON observation (changed_at, id);
CREATE INDEX observation_unanswered ON observation (answer_by_at)
    WHERE kind = 'observation' AND part_of IS NULL AND answered_at IS NULL AND archived_at IS NULL;
CREATE INDEX observation_untaken ON observation (received_at) WHERE is_urgent = 1 AND taken_at IS NULL;

CREATE TABLE observation_tag (
    observation_id TEXT NOT NULL REFERENCES observation (id),
    tag            TEXT NOT NULL,
    PRIMARY KEY (observation_id, tag)
);
CREATE INDEX observation_tag_tag ON observation_tag (tag);

-- What we wrote to somebody because of an observation; the text, the delivery and its outcome are the message's.
-- kind: 'answer', 'feedback', 'automatic', 'confirmation' of a command, 'duty' for the word to the duty number.
CREATE TABLE reply (
    message_id        TEXT NOT NULL REFERENCES message (id),
    observation_id    TEXT NOT NULL REFERENCES observation (id),
    delivery_id       BIGINT NOT NULL,
    contact_person_id TEXT,
    kind              TEXT NOT NULL CHECK (kind = 'answer' OR kind = 'feedback' OR kind = 'automatic' OR kind = 'confirmation'
        OR kind = 'duty'),
    created_at        BIGINT NOT NULL,
    PRIMARY KEY (message_id, observation_id)
);
CREATE INDEX reply_observation ON reply (observation_id);
CREATE INDEX reply_person ON reply (contact_person_id) WHERE contact_person_id IS NOT NULL;

-- Who has had an automatic answer about what, as keyed digests: at most one for each.
CREATE TABLE automatic_answer (
    fingerprint TEXT NOT NULL,
    about       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    PRIMARY KEY (fingerprint, about)
);

-- A contact person's word that the information has reached so many households.
CREATE TABLE spread_confirmation (
    message_id        TEXT NOT NULL REFERENCES message (id),
    contact_person_id TEXT NOT NULL,
    households        BIGINT NOT NULL,
    source            TEXT NOT NULL,
    confirmed_at      BIGINT NOT NULL,
    PRIMARY KEY (message_id, contact_person_id)
);
CREATE INDEX spread_confirmation_person ON spread_confirmation (contact_person_id);

-- Whether an alert went to an area is looked for by the area.
CREATE INDEX message_area_code ON message_area (area_code);
