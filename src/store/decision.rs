//! Owns the decision ledger: alerts that were sent, and those considered but not sent.

use super::{Result, Session};

/// A decision as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Decision {
    /// UUIDv7.
    pub id: String,
    /// `sent` or `not_sent`.
    pub outcome: String,
    /// Who decided, by function.
    pub decided_by: String,
    /// Why not, for `not_sent`.
    pub reason: String,
    /// Area codes as JSON.
    pub areas: String,
    /// The alert, for `sent`.
    pub message_id: Option<String>,
    /// Who wrote it down.
    pub created_by: String,
    /// When, Unix ms.
    pub created_at: i64,
}

const INSERT: &str = "INSERT INTO decision (id, outcome, decided_by, reason, areas, message_id, created_by, created_at)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";

/// Adds a decision.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, decision: &Decision) -> Result<()> {
    let d = decision.clone();
    let statement = session
        .sql(INSERT)
        .bind(d.id)
        .bind(d.outcome)
        .bind(d.decided_by)
        .bind(d.reason)
        .bind(d.areas)
        .bind(d.message_id)
        .bind(d.created_by)
        .bind(d.created_at);
    session.execute(statement).await.map(drop)
}

const PAGE: &str = "SELECT id, outcome, decided_by, reason, areas, message_id, created_by, created_at
 FROM decision
 WHERE id < $1
 ORDER BY id DESC
 LIMIT $2";

/// A page of decisions, newest first, after the id `after` (empty = from the newest).
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, after: &str, limit: i64) -> Result<Vec<Decision>> {
    let after = if after.is_empty() { "g".to_owned() } else { after.to_owned() };
    session.list(session.sql(PAGE).bind(after).bind(limit)).await
}
