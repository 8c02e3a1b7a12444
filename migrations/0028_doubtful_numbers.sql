-- The few persons whose number is doubtful are found among all of them when an alert has arrived somewhere.
CREATE INDEX contact_person_doubtful ON contact_person (id) WHERE mobile_doubtful IS NOT NULL;
