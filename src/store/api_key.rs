//! Owns API keys, stored as digests.

use super::{Result, Session};

/// A key as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ApiKey {
    /// UUIDv7.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the key, hex.
    pub key_hash: String,
    /// A role's code.
    pub role: String,
    /// The area the role is held for.
    pub area_code: String,
    /// When it was made, Unix ms.
    pub created_at: i64,
    /// When it was last used, Unix ms, to the minute.
    pub last_used_at: Option<i64>,
    /// When it was revoked, Unix ms.
    pub revoked_at: Option<i64>,
}

const INSERT: &str = "INSERT INTO api_key (id, name, key_hash, role, area_code, created_at)
 VALUES ($1, $2, $3, $4, $5, $6)";

/// Adds a key.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, key: &ApiKey) -> Result<()> {
    let k = key.clone();
    let statement =
        session.sql(INSERT).bind(k.id).bind(k.name).bind(k.key_hash).bind(k.role).bind(k.area_code).bind(k.created_at);
    session.execute(statement).await.map(drop)
}

const BY_HASH: &str = "SELECT id, name, key_hash, role, area_code, created_at, last_used_at, revoked_at
 FROM api_key
 WHERE key_hash = $1
   AND revoked_at IS NULL";

/// The live key with this digest.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_hash(session: &mut Session, key_hash: &str) -> Result<Option<ApiKey>> {
    session.one(session.sql(BY_HASH).bind(key_hash.to_owned())).await
}

const LIST: &str = "SELECT id, name, key_hash, role, area_code, created_at, last_used_at, revoked_at
 FROM api_key
 ORDER BY id";

/// All keys, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(session: &mut Session) -> Result<Vec<ApiKey>> {
    session.list(session.sql(LIST)).await
}

const REVOKE: &str = "UPDATE api_key
 SET revoked_at = $2
 WHERE (id = $1 OR name = $1)
   AND revoked_at IS NULL";

/// Revokes the keys with this id or name; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revoke(session: &mut Session, id_or_name: &str, now: i64) -> Result<u64> {
    session.execute(session.sql(REVOKE).bind(id_or_name.to_owned()).bind(now)).await
}

const TOUCH: &str = "UPDATE api_key
 SET last_used_at = $2
 WHERE id = $1";

/// Notes that a key was used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn touch(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(TOUCH).bind(id.to_owned()).bind(now)).await.map(drop)
}
