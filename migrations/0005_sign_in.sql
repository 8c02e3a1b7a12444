-- What a link is for: to choose a password and code, or (demo only) straight in.
ALTER TABLE sign_in_link ADD COLUMN purpose TEXT NOT NULL DEFAULT 'enrol' CHECK (purpose IN ('enrol', 'enter'));

-- Who an operator is to the authority's own identity provider; set at the first sign-in through it.
ALTER TABLE operator ADD COLUMN subject TEXT;
ALTER TABLE operator ADD COLUMN last_signed_in_at BIGINT;
CREATE UNIQUE INDEX operator_subject ON operator (subject);

-- What an operator signs in with here. Without a confirmed row only a link or the authority's own sign-in lets them in.
CREATE TABLE credential (
    operator_id   TEXT PRIMARY KEY REFERENCES operator (id),
    password_hash TEXT NOT NULL DEFAULT '',
    totp_secret   TEXT NOT NULL,
    totp_step     BIGINT NOT NULL DEFAULT 0,
    confirmed_at  BIGINT,
    changed_at    BIGINT NOT NULL
);

CREATE TABLE recovery_code (
    operator_id TEXT NOT NULL REFERENCES operator (id),
    code_hash   TEXT NOT NULL,
    used_at     BIGINT,
    PRIMARY KEY (operator_id, code_hash)
);

-- One row is one browser that somebody is signed in from; what ends is removed.
CREATE TABLE sign_in_session (
    id          TEXT PRIMARY KEY,
    token_hash  TEXT NOT NULL UNIQUE,
    operator_id TEXT NOT NULL REFERENCES operator (id),
    way         TEXT NOT NULL CHECK (way IN ('link', 'password', 'passkey', 'proxy', 'oidc', 'demo')),
    state       TEXT NOT NULL CHECK (state IN ('enrolling', 'open', 'locked')),
    browser     TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    seen_at     BIGINT NOT NULL,
    proved_at   BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX sign_in_session_operator ON sign_in_session (operator_id);

-- A key on a security key, telephone or computer that lets an operator in; data is its public half and counter.
CREATE TABLE passkey (
    id           TEXT PRIMARY KEY,
    operator_id  TEXT NOT NULL REFERENCES operator (id),
    name         TEXT NOT NULL,
    data         TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX passkey_operator ON passkey (operator_id);

-- A question that a key has been asked and not answered yet; answered once, within minutes.
CREATE TABLE passkey_question (
    handle_hash TEXT PRIMARY KEY,
    operator_id TEXT,
    state       TEXT NOT NULL,
    created_at  BIGINT NOT NULL
);
