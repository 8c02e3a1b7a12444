-- Several daemons on one database: what each of them does, and whose turn it is to do what only one shall do at a time.

ALTER TABLE daemon ADD COLUMN roles TEXT NOT NULL DEFAULT 'web,dispatch,inbound,upkeep';

-- One row. Its time is the database's own clock in microseconds, since daemons' clocks differ.
CREATE TABLE upkeep_turn (
    name     TEXT PRIMARY KEY,
    owner    TEXT NOT NULL,
    until_us BIGINT NOT NULL
);
