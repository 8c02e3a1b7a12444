-- SMPP. A part of an SMS as a gateway took it: a receipt names the part by the gateway's id and nothing else. addressee is a
-- keyed digest of the number: it says which receipts are about the same phone, and not about which.
CREATE TABLE sms_part (
    gateway     TEXT NOT NULL,
    gateway_ref TEXT NOT NULL,
    delivery_id BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    part        BIGINT NOT NULL,
    parts       BIGINT NOT NULL,
    addressee   TEXT NOT NULL,
    state       TEXT CHECK (state IN ('delivered', 'failed')),
    taken_at    BIGINT NOT NULL,
    PRIMARY KEY (gateway, gateway_ref)
);
CREATE INDEX sms_part_delivery ON sms_part (delivery_id, attempt);
CREATE INDEX sms_part_addressee ON sms_part (gateway, addressee);
CREATE INDEX sms_part_taken ON sms_part (taken_at);

-- A receipt that no part is known for: it came before the part was on disk, or about one whose answer was lost.
CREATE TABLE part_receipt (
    gateway     TEXT NOT NULL,
    gateway_ref TEXT NOT NULL,
    word        TEXT NOT NULL,
    state       TEXT CHECK (state IN ('sent', 'delivered', 'failed')),
    addressee   TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (gateway, gateway_ref, word)
);
CREATE INDEX part_receipt_addressee ON part_receipt (gateway, addressee);
CREATE INDEX part_receipt_received ON part_receipt (received_at);

-- A part of an incoming SMS that waits for the others. whole is a digest of sender, reference and number of parts; body is the
-- part in Base64.
CREATE TABLE inbound_sms_part (
    gateway     TEXT NOT NULL,
    whole       TEXT NOT NULL,
    part        BIGINT NOT NULL,
    parts       BIGINT NOT NULL,
    sender      TEXT NOT NULL,
    recipient   TEXT NOT NULL,
    coding      BIGINT NOT NULL,
    body        TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (gateway, whole, part)
);
