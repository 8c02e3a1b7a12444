-- Incoming mail as it came, before anything is read out of it; its octets lie in inbound_mail_part, in Base64.
-- state: 'new' until it is read. tries counts readings begun, so that a mail that stops the reader is left alone in the end.
-- kind: what it means; verdict: whose fault a letter did not arrive. token_state: whether it names a delivery of ours ('proven'), one that
-- our key has not made ('forged'), or none. folder: where people find it; 'tray' waits for somebody to read it.
CREATE TABLE inbound_mail (
    id                TEXT PRIMARY KEY,
    digest            TEXT NOT NULL UNIQUE,
    recipient         TEXT NOT NULL,
    source            TEXT NOT NULL CHECK (source IN ('pipe', 'mailbox')),
    octets            BIGINT NOT NULL,
    is_cut            BIGINT NOT NULL,
    received_at       BIGINT NOT NULL,
    state             TEXT NOT NULL CHECK (state IN ('new', 'read', 'unreadable')),
    tries             BIGINT NOT NULL DEFAULT 0,
    tried_at          BIGINT,
    read_at           BIGINT,
    kind              TEXT CHECK (kind IN ('failed', 'delayed', 'delivered', 'relayed', 'complaint', 'automatic', 'reply', 'unknown')),
    verdict           TEXT CHECK (verdict IN ('hard', 'soft', 'ours', 'unclear')),
    token_state       TEXT CHECK (token_state IN ('proven', 'forged', 'none')),
    folder            TEXT CHECK (folder IN ('tray', 'reports', 'automatic', 'replies')),
    delivery_id       BIGINT,
    contact_person_id TEXT,
    observation_id    TEXT,
    code              TEXT,
    sender            TEXT NOT NULL DEFAULT '',
    subject           TEXT NOT NULL DEFAULT '',
    diagnostic        TEXT NOT NULL DEFAULT '',
    handled_at        BIGINT,
    handled_by        TEXT
);
CREATE INDEX inbound_mail_new ON inbound_mail (tries, id) WHERE state = 'new';
CREATE INDEX inbound_mail_delivery ON inbound_mail (delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX inbound_mail_person ON inbound_mail (contact_person_id) WHERE contact_person_id IS NOT NULL;
CREATE INDEX inbound_mail_folder ON inbound_mail (folder, id);

CREATE TABLE inbound_mail_part (
    mail_id TEXT NOT NULL REFERENCES inbound_mail (id),
    number  BIGINT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (mail_id, number)
);

-- The e-mail address that letters do not reach, as it stood when that was found. Another address is usable again by itself.
ALTER TABLE contact_person ADD COLUMN email_unusable TEXT;
ALTER TABLE contact_person ADD COLUMN email_unusable_at BIGINT;
ALTER TABLE contact_person ADD COLUMN email_unusable_reason TEXT;
-- When somebody last said that the address works again: what came back before counts no more.
ALTER TABLE contact_person ADD COLUMN email_usable_at BIGINT;
