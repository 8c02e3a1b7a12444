-- What is left to be written of a large audience that is frozen already: blocks of deliveries in the order of hand-over, each
-- with the persons it covers, and last those whom nothing reaches (docs/adr/0019-sealed-audience.md). A block becomes rows of
-- delivery and message_recipient in the transaction that deletes it.
CREATE TABLE sealed_audience (
    message_id TEXT NOT NULL REFERENCES message (id),
    block      BIGINT NOT NULL,
    deliveries BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    queued_at  BIGINT NOT NULL,
    content    TEXT NOT NULL,
    PRIMARY KEY (message_id, block)
);
-- Read and written once: to compress it costs more than it saves.
{on postgres}ALTER TABLE sealed_audience ALTER COLUMN content SET STORAGE EXTERNAL;
