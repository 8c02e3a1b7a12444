//! Owns what operators sign in with here: a password as Argon2id, the secret of their codes, and recovery codes as digests.
//!
//! It checks nothing; `actions::sign_in` does. Invariants: a code's step is used once, and so is a recovery code.

use super::{Result, Session};

/// What an operator signs in with.
#[derive(Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Credential {
    /// Whose it is.
    pub operator_id: String,
    /// Argon2id as a PHC string; empty until chosen.
    pub password_hash: String,
    /// Secret of the one-time codes, base32.
    pub totp_secret: String,
    /// Step of the newest code used.
    pub totp_step: i64,
    /// When it was first proved to work, Unix ms.
    pub confirmed_at: Option<i64>,
    /// When it was last changed, Unix ms.
    pub changed_at: i64,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("operator_id", &self.operator_id).finish_non_exhaustive()
    }
}

const GET: &str = "SELECT operator_id, password_hash, totp_secret, totp_step, confirmed_at, changed_at
 FROM credential
 WHERE operator_id = $1";

/// An operator's credential.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, operator_id: &str) -> Result<Option<Credential>> {
    session.one(session.sql(GET).bind(operator_id.to_owned())).await
}

const PUT: &str =
    "INSERT INTO credential (operator_id, password_hash, totp_secret, totp_step, confirmed_at, changed_at)
 VALUES ($1, $2, $3, $4, $5, $6)
 ON CONFLICT (operator_id) DO UPDATE SET
   password_hash = excluded.password_hash,
   totp_secret = excluded.totp_secret,
   totp_step = excluded.totp_step,
   confirmed_at = excluded.confirmed_at,
   changed_at = excluded.changed_at";

/// Writes an operator's credential.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, credential: &Credential) -> Result<()> {
    let c = credential.clone();
    let statement = session
        .sql(PUT)
        .bind(c.operator_id)
        .bind(c.password_hash)
        .bind(c.totp_secret)
        .bind(c.totp_step)
        .bind(c.confirmed_at)
        .bind(c.changed_at);
    session.execute(statement).await.map(drop)
}

const USE_STEP: &str = "UPDATE credential
 SET totp_step = $2
 WHERE operator_id = $1
   AND totp_step < $2";

/// Uses up a code by its step; `false` when that step, or a later one, was used before.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_step(session: &mut Session, operator_id: &str, step: i64) -> Result<bool> {
    Ok(session.execute(session.sql(USE_STEP).bind(operator_id.to_owned()).bind(step)).await? > 0)
}

const REMOVE: &str = "DELETE FROM credential
 WHERE operator_id = $1";

const REMOVE_CODES: &str = "DELETE FROM recovery_code
 WHERE operator_id = $1";

const REMOVE_PASSKEYS: &str = "DELETE FROM passkey
 WHERE operator_id = $1";

/// Removes everything an operator signs in with: credential, recovery codes and passkeys.
///
/// # Errors
/// [`super::StoreError`].
pub async fn remove(session: &mut Session, operator_id: &str) -> Result<()> {
    session.execute(session.sql(REMOVE_CODES).bind(operator_id.to_owned())).await?;
    session.execute(session.sql(REMOVE_PASSKEYS).bind(operator_id.to_owned())).await?;
    session.execute(session.sql(REMOVE).bind(operator_id.to_owned())).await.map(drop)
}

const ADD_CODE: &str = "INSERT INTO recovery_code (operator_id, code_hash)
 VALUES ($1, $2)";

/// Gives an operator new recovery codes, by their digests; earlier ones become void.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put_recovery_codes(session: &mut Session, operator_id: &str, hashes: &[String]) -> Result<()> {
    session.execute(session.sql(REMOVE_CODES).bind(operator_id.to_owned())).await?;
    for hash in hashes {
        session.execute(session.sql(ADD_CODE).bind(operator_id.to_owned()).bind(hash.clone())).await?;
    }
    Ok(())
}

const USE_CODE: &str = "UPDATE recovery_code
 SET used_at = $3
 WHERE operator_id = $1
   AND code_hash = $2
   AND used_at IS NULL";

/// Uses up a recovery code by its digest; `false` when there is no such unused one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_recovery_code(session: &mut Session, operator_id: &str, hash: &str, now: i64) -> Result<bool> {
    let statement = session.sql(USE_CODE).bind(operator_id.to_owned()).bind(hash.to_owned()).bind(now);
    Ok(session.execute(statement).await? > 0)
}

const CODES_LEFT: &str = "SELECT COUNT(*) AS n
 FROM recovery_code
 WHERE operator_id = $1
   AND used_at IS NULL";

/// How many recovery codes an operator has left.
///
/// # Errors
/// [`super::StoreError`].
pub async fn recovery_codes_left(session: &mut Session, operator_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(CODES_LEFT).bind(operator_id.to_owned())).await?;
    Ok(row.map_or(0, |(n,)| n))
}
