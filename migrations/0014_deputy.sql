-- Who stands in for a contact person while that person is paused: another one of the register, who has been asked.
ALTER TABLE contact_person ADD COLUMN deputy_id TEXT;
ALTER TABLE contact_person ADD COLUMN deputy_set_by TEXT;
ALTER TABLE contact_person ADD COLUMN deputy_set_at BIGINT;
CREATE INDEX contact_person_deputy ON contact_person (deputy_id) WHERE deputy_id IS NOT NULL;

-- A delivery that went to a deputy, and for whom. It covers no person: in audience and reach the one who is away counts as not
-- reached. The same deputy may stand in for several with one delivery.
CREATE TABLE stand_in (
    message_id        TEXT NOT NULL,
    stands_for        TEXT NOT NULL,
    contact_person_id TEXT NOT NULL,
    delivery_id       BIGINT NOT NULL,
    created_at        BIGINT NOT NULL,
    PRIMARY KEY (message_id, stands_for)
);
CREATE INDEX stand_in_delivery ON stand_in (delivery_id);
CREATE INDEX stand_in_person ON stand_in (contact_person_id);
CREATE INDEX stand_in_for ON stand_in (stands_for);
