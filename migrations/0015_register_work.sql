-- The number that alerts do not arrive at, as it stood when somebody found that. Alerts still go to it: only a person can tell
-- whether it is wrong. Another number is no longer doubtful. Without a number, mobile_doubtful_at is when somebody last said that it is right.
ALTER TABLE contact_person ADD COLUMN mobile_doubtful TEXT;
ALTER TABLE contact_person ADD COLUMN mobile_doubtful_at BIGINT;

-- Pairs of records that somebody has found to be two persons.
CREATE TABLE different_persons (
    first_id  TEXT NOT NULL,
    second_id TEXT NOT NULL,
    said_by   TEXT NOT NULL,
    said_at   BIGINT NOT NULL,
    PRIMARY KEY (first_id, second_id)
);
