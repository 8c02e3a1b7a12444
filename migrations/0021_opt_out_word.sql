-- Words about consent, as they stand in the journal outside the database: digests under a key that is not here. A row without
-- written_at has not been seen in the file yet. A journal that holds words this table lacks is newer than the database.
CREATE TABLE opt_out_word (
  mac TEXT PRIMARY KEY,
  line TEXT NOT NULL,
  noted_at BIGINT NOT NULL,
  written_at BIGINT
);
CREATE INDEX opt_out_word_waiting ON opt_out_word (noted_at) WHERE written_at IS NULL;
-- 1 for an SMS that was fetched from the gateway's history after a restore: obeyed and shown, never answered by itself.
ALTER TABLE inbound_sms ADD COLUMN fetched BIGINT NOT NULL DEFAULT 0;
