-- The words of names, so that a person of a large register is found without reading it. A person whose word_key is not
-- 'name_key area_code' has words that are behind: a search looks at those besides, and upkeep catches up.
CREATE TABLE contact_person_word (
    word              TEXT{as bytes} NOT NULL,
    contact_person_id TEXT NOT NULL,
    area_code         TEXT NOT NULL,
    PRIMARY KEY (word, contact_person_id)
){by its key};
ALTER TABLE contact_person ADD COLUMN word_key TEXT NOT NULL DEFAULT '';
CREATE INDEX contact_person_unindexed ON contact_person (id) WHERE word_key <> name_key || ' ' || area_code;

-- Numbers and addresses by how they begin. SQLite compares text as bytes anyway, and has the first two since 0001.
{on postgres}CREATE INDEX contact_person_mobile_begins ON contact_person (mobile COLLATE "C");
{on postgres}CREATE INDEX contact_person_email_begins ON contact_person (email_key COLLATE "C");
CREATE INDEX contact_person_phone2_begins ON contact_person (phone2{as bytes});
