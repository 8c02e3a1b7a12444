//! Owns the answers kept for `Idempotency-Key`.
//!
//! Invariant: the answer is written in the transaction of its effect, so that one never stands without the other.

use super::{Result, Session};

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Answer {
    /// Digest of method, path and body.
    pub request_hash: String,
    /// HTTP code.
    pub answer_code: i64,
    /// Body.
    pub answer: String,
}

const RESERVE: &str = "INSERT INTO idempotency (caller, key, request_hash, answer_code, answer, created_at)
 VALUES ($1, $2, $3, 0, '', $4)
 ON CONFLICT (caller, key) DO NOTHING";

const GET: &str = "SELECT request_hash, answer_code, answer
 FROM idempotency
 WHERE caller = $1
   AND key = $2";

/// Reserves a key for this transaction; gives the earlier answer when it was used before. A second caller with the same
/// key waits here until the first has committed.
///
/// # Errors
/// [`super::StoreError`]; `Busy` when the first is still running.
pub async fn reserve(
    session: &mut Session,
    (caller, key): (&str, &str),
    request_hash: &str,
    now: i64,
) -> Result<Option<Answer>> {
    let statement =
        session.sql(RESERVE).bind(caller.to_owned()).bind(key.to_owned()).bind(request_hash.to_owned()).bind(now);
    if session.execute(statement).await? > 0 {
        return Ok(None);
    }
    session.one(session.sql(GET).bind(caller.to_owned()).bind(key.to_owned())).await
}

const FINISH: &str = "UPDATE idempotency
 SET answer_code = $3, answer = $4
 WHERE caller = $1
   AND key = $2";

/// Keeps the answer for a reserved key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn finish(session: &mut Session, (caller, key): (&str, &str), code: i64, answer: String) -> Result<()> {
    let statement = session.sql(FINISH).bind(caller.to_owned()).bind(key.to_owned()).bind(code).bind(answer);
    session.execute(statement).await.map(drop)
}

const FORGET: &str = "DELETE FROM idempotency
 WHERE created_at < $1";

/// Forgets keys older than `before` (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, before: i64) -> Result<u64> {
    session.execute(session.sql(FORGET).bind(before)).await
}
