//! Owns the passkeys of operators, and the questions that keys have been asked and not answered yet.
//!
//! It checks no signature; `actions::passkey` does. Invariant: a question is answered once.

use super::{Result, Session};

/// A passkey as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Passkey {
    /// The credential's id, base64url.
    pub id: String,
    /// Whose it is.
    pub operator_id: String,
    /// What they call it.
    pub name: String,
    /// Public key and counter, JSON.
    pub data: String,
    /// When it was added, Unix ms.
    pub created_at: i64,
    /// When it last let somebody in, Unix ms.
    pub last_used_at: Option<i64>,
}

/// A question as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Question {
    /// SHA-256 of its handle, hex.
    pub handle_hash: String,
    /// Who adds a key; `None` for whoever signs in.
    pub operator_id: Option<String>,
    /// What the answer is held against, JSON.
    pub state: String,
    /// When it was asked, Unix ms.
    pub created_at: i64,
}

const INSERT: &str = "INSERT INTO passkey (id, operator_id, name, data, created_at)
 VALUES ($1, $2, $3, $4, $5)";

/// Adds a passkey.
///
/// # Errors
/// [`super::StoreError::Conflict`] when it is somebody's already.
pub async fn insert(session: &mut Session, passkey: &Passkey) -> Result<()> {
    let p = passkey.clone();
    let statement = session.sql(INSERT).bind(p.id).bind(p.operator_id).bind(p.name).bind(p.data).bind(p.created_at);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT id, operator_id, name, data, created_at, last_used_at
 FROM passkey
 WHERE id = $1";

/// The passkey with this credential id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<Passkey>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const OF_OPERATOR: &str = "SELECT id, operator_id, name, data, created_at, last_used_at
 FROM passkey
 WHERE operator_id = $1
 ORDER BY created_at, id";

/// An operator's passkeys, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_operator(session: &mut Session, operator_id: &str) -> Result<Vec<Passkey>> {
    session.list(session.sql(OF_OPERATOR).bind(operator_id.to_owned())).await
}

const NOTE_USE: &str = "UPDATE passkey
 SET data = $2, last_used_at = $3
 WHERE id = $1";

/// Notes that a passkey was used, with its counter as it is now.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_use(session: &mut Session, id: &str, data: String, now: i64) -> Result<()> {
    session.execute(session.sql(NOTE_USE).bind(id.to_owned()).bind(data).bind(now)).await.map(drop)
}

const REMOVE: &str = "DELETE FROM passkey
 WHERE id = $1
   AND operator_id = $2";

/// Removes an operator's passkey; says whether there was one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, id: &str, operator_id: &str) -> Result<bool> {
    Ok(session.execute(session.sql(REMOVE).bind(id.to_owned()).bind(operator_id.to_owned())).await? > 0)
}

const ASK: &str = "INSERT INTO passkey_question (handle_hash, operator_id, state, created_at)
 VALUES ($1, $2, $3, $4)";

/// Keeps a question until it is answered.
///
/// # Errors
/// [`super::StoreError`].
pub async fn ask(session: &mut Session, question: &Question) -> Result<()> {
    let q = question.clone();
    let statement = session.sql(ASK).bind(q.handle_hash).bind(q.operator_id).bind(q.state).bind(q.created_at);
    session.execute(statement).await.map(drop)
}

const TAKE: &str = "DELETE FROM passkey_question
 WHERE handle_hash = $1
   AND created_at >= $2
 RETURNING handle_hash, operator_id, state, created_at";

/// Takes the question that is answered, unless it was asked before `since`; it is gone then.
///
/// # Errors
/// [`super::StoreError`].
pub async fn take_question(session: &mut Session, handle_hash: &str, since: i64) -> Result<Option<Question>> {
    session.one(session.sql(TAKE).bind(handle_hash.to_owned()).bind(since)).await
}

const FORGET: &str = "DELETE FROM passkey_question
 WHERE created_at < $1";

/// Removes questions that were asked before `since` and never answered.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_questions(session: &mut Session, since: i64) -> Result<u64> {
    session.execute(session.sql(FORGET).bind(since)).await
}
