-- When what is personal was taken out of a row, since it had been kept for as long as the authority has decided.
ALTER TABLE observation ADD COLUMN disposed_at BIGINT;
ALTER TABLE message ADD COLUMN disposed_at BIGINT;
ALTER TABLE import ADD COLUMN disposed_at BIGINT;
ALTER TABLE inbound_mail ADD COLUMN disposed_at BIGINT;
CREATE INDEX observation_kept ON observation (received_at) WHERE disposed_at IS NULL;
CREATE INDEX message_kept ON message (created_at) WHERE disposed_at IS NULL;
CREATE INDEX inbound_mail_kept ON inbound_mail (received_at) WHERE disposed_at IS NULL;
