//! Owns the sessions of those who are signed in: one row for each browser, the token as a digest.
//!
//! It does not decide how long one lasts; `actions::session` does. Invariant: what has ended is removed.

use super::{Result, Session};

/// A session as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SignInSession {
    /// UUIDv7.
    pub id: String,
    /// SHA-256 of the cookie's token, hex.
    pub token_hash: String,
    /// Who is signed in.
    pub operator_id: String,
    /// How they came in: `link`, `password`, `proxy`, `oidc` or `demo`.
    pub way: String,
    /// `enrolling`, `open` or `locked`.
    pub state: String,
    /// The browser in a few words, for telling sessions apart.
    pub browser: String,
    /// When it began, Unix ms.
    pub created_at: i64,
    /// When it was last used, Unix ms, to the minute.
    pub seen_at: i64,
    /// When the person last proved who they are, Unix ms.
    pub proved_at: i64,
    /// When it ends whatever happens, Unix ms.
    pub expires_at: i64,
}

const INSERT: &str = "INSERT INTO sign_in_session
   (id, token_hash, operator_id, way, state, browser, created_at, seen_at, proved_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

/// Adds a session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, new: &SignInSession) -> Result<()> {
    let s = new.clone();
    let statement = session
        .sql(INSERT)
        .bind(s.id)
        .bind(s.token_hash)
        .bind(s.operator_id)
        .bind(s.way)
        .bind(s.state)
        .bind(s.browser)
        .bind(s.created_at)
        .bind(s.seen_at)
        .bind(s.proved_at)
        .bind(s.expires_at);
    session.execute(statement).await.map(drop)
}

const BY_TOKEN: &str =
    "SELECT id, token_hash, operator_id, way, state, browser, created_at, seen_at, proved_at, expires_at
 FROM sign_in_session
 WHERE token_hash = $1";

/// The session with this token's digest, also one whose time has run out.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_token(session: &mut Session, token_hash: &str) -> Result<Option<SignInSession>> {
    session.one(session.sql(BY_TOKEN).bind(token_hash.to_owned())).await
}

const OF_OPERATOR: &str =
    "SELECT id, token_hash, operator_id, way, state, browser, created_at, seen_at, proved_at, expires_at
 FROM sign_in_session
 WHERE operator_id = $1
 ORDER BY seen_at DESC, id DESC";

/// An operator's sessions, last used first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_operator(session: &mut Session, operator_id: &str) -> Result<Vec<SignInSession>> {
    session.list(session.sql(OF_OPERATOR).bind(operator_id.to_owned())).await
}

const TOUCH: &str = "UPDATE sign_in_session
 SET seen_at = $2
 WHERE id = $1
   AND seen_at < $2";

/// Notes that a session was used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn touch(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(TOUCH).bind(id.to_owned()).bind(now)).await.map(drop)
}

const PROVE: &str = "UPDATE sign_in_session
 SET proved_at = $2, state = 'open'
 WHERE id = $1";

/// Notes that the person has proved again who they are; a locked session is open again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn prove(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(PROVE).bind(id.to_owned()).bind(now)).await.map(drop)
}

const LOCK: &str = "UPDATE sign_in_session
 SET state = 'locked'
 WHERE id = $1
   AND state = 'open'";

/// Locks a session until somebody has proved who they are; says whether it was open.
///
/// # Errors
/// [`super::StoreError`].
pub async fn lock(session: &mut Session, id: &str) -> Result<bool> {
    Ok(session.execute(session.sql(LOCK).bind(id.to_owned())).await? > 0)
}

const END: &str = "DELETE FROM sign_in_session
 WHERE id = $1
   AND operator_id = $2";

/// Ends an operator's session; says whether there was one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end(session: &mut Session, id: &str, operator_id: &str) -> Result<bool> {
    Ok(session.execute(session.sql(END).bind(id.to_owned()).bind(operator_id.to_owned())).await? > 0)
}

const END_OTHERS: &str = "DELETE FROM sign_in_session
 WHERE operator_id = $1
   AND id <> $2";

/// Ends all of an operator's sessions but one (empty = all); says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end_others(session: &mut Session, operator_id: &str, kept: &str) -> Result<u64> {
    session.execute(session.sql(END_OTHERS).bind(operator_id.to_owned()).bind(kept.to_owned())).await
}

const FORGET: &str = "DELETE FROM sign_in_session
 WHERE expires_at < $1
   OR seen_at < $2";

/// Removes sessions whose time ran out before `now`, or that were last used before `idle_since`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, now: i64, idle_since: i64) -> Result<u64> {
    session.execute(session.sql(FORGET).bind(now).bind(idle_since)).await
}
