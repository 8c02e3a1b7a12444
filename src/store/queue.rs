//! Owns the figures of the queue: what metrics show, and what a lane waits for.
//!
//! It moves nothing. Invariant: every statement is answered from the partial indexes of open deliveries.

use super::{Result, Session};
use crate::domain::delivery::Channel;

/// Queue figures of one lane and priority.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct QueueDepth {
    /// The lane.
    pub channel: String,
    /// Order among messages.
    pub priority: i64,
    /// Deliveries that are due and wait.
    pub deliveries: i64,
    /// When the oldest of them was due, Unix ms.
    pub oldest_at: Option<i64>,
}

const DEPTHS: &str = "SELECT channel, priority, CAST(COUNT(*) AS BIGINT) AS deliveries, MIN(due_at) AS oldest_at
 FROM delivery
 WHERE state = 'queued'
   AND due_at <= $1
 GROUP BY channel, priority";

/// What waits in each lane at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn depths(session: &mut Session, now: i64) -> Result<Vec<QueueDepth>> {
    session.list(session.sql(DEPTHS).bind(now)).await
}

const OPEN_FIGURES: &str = "SELECT
   (SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state = 'in_doubt') AS in_doubt,
   (SELECT CAST(COUNT(*) AS BIGINT) FROM delivery WHERE state = 'sending' AND lease_until_at < $1) AS overdue";

/// Deliveries in doubt, and leases older than their time at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn open_figures(session: &mut Session, now: i64) -> Result<(i64, i64)> {
    let row: Option<(i64, i64)> = session.one(session.sql(OPEN_FIGURES).bind(now)).await?;
    Ok(row.unwrap_or_default())
}

// `MIN` reads every queued row on PostgreSQL while it thinks that there are few.
const NEXT_DUE: &str = "SELECT due_at
 FROM delivery
 WHERE state = 'queued'
   AND channel = $1
   AND priority = $2
 ORDER BY due_at
 LIMIT 1";

/// When the next queued delivery of a lane is due, Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn next_due(session: &mut Session, channel: Channel, priority: i64) -> Result<Option<i64>> {
    let row: Option<(i64,)> = session.one(session.sql(NEXT_DUE).bind(channel.code()).bind(priority)).await?;
    Ok(row.map(|(due_at,)| due_at))
}
