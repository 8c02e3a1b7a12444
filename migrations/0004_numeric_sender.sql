-- 1 for a message that people shall be able to answer: it goes from a number, also where the gateway's sender is a text.
ALTER TABLE message ADD COLUMN numeric_sender BIGINT NOT NULL DEFAULT 0;
UPDATE message
SET numeric_sender = 1
WHERE id IN (SELECT a.message_id FROM alert a WHERE a.kind = 'observation');
