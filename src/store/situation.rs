//! Owns situations as stored: every version, of which one is current until the situation is retired.

use super::{Result, Session};

/// One version of a situation.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Situation {
    /// Of all its versions.
    pub id: String,
    /// Counted from 1.
    pub version: i64,
    /// What people call it.
    pub name: String,
    /// Kind of the alert it becomes.
    pub kind: String,
    /// How long such an alert is valid.
    pub minutes: i64,
    /// As `domain::situation::Pattern` reads it.
    pub pattern: String,
    /// Who wrote this version.
    pub created_by: String,
    /// When, Unix ms.
    pub created_at: i64,
}

const CURRENT: &str = "SELECT id, version, name, kind, minutes, pattern, created_by, created_at
 FROM situation
 WHERE is_current = 1
 ORDER BY name, id";

/// The current version of each situation, by name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn list(session: &mut Session) -> Result<Vec<Situation>> {
    session.list(session.sql(CURRENT)).await
}

const GET: &str = "SELECT id, version, name, kind, minutes, pattern, created_by, created_at
 FROM situation
 WHERE id = $1
   AND is_current = 1";

/// The current version of a situation.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<Situation>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const INSERT: &str =
    "INSERT INTO situation (id, version, name, kind, minutes, pattern, is_current, created_by, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $8)";

/// Adds a version, which is the current one; the one before it must have been retired.
///
/// # Errors
/// [`super::StoreError::Conflict`] when another is current or has this number.
pub async fn insert(session: &mut Session, situation: &Situation) -> Result<()> {
    let s = situation.clone();
    let statement = session
        .sql(INSERT)
        .bind(s.id)
        .bind(s.version)
        .bind(s.name)
        .bind(s.kind)
        .bind(s.minutes)
        .bind(s.pattern)
        .bind(s.created_by)
        .bind(s.created_at);
    session.execute(statement).await.map(drop)
}

const RETIRE: &str = "UPDATE situation
 SET is_current = 0
 WHERE id = $1
   AND version = $2
   AND is_current = 1";

/// Takes a version out of use; whether it was in use.
///
/// # Errors
/// [`super::StoreError`].
pub async fn retire(session: &mut Session, id: &str, version: i64) -> Result<bool> {
    Ok(session.execute(session.sql(RETIRE).bind(id.to_owned()).bind(version)).await? == 1)
}
