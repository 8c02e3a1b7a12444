-- What a letter has beyond a message. A test to oneself is a message of kind 'test' with a copy of the letter's row.
CREATE TABLE letter (
    message_id      TEXT PRIMARY KEY REFERENCES message (id),
    subject         TEXT NOT NULL,
    body_markdown   TEXT NOT NULL,
    registry_number TEXT,
    subject_code    TEXT,
    dated           TEXT,
    signature_name  TEXT,
    signature_title TEXT NOT NULL DEFAULT '',
    copy_recipients TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX delivery_paper ON delivery (message_id, id) WHERE channel = 'paper';
