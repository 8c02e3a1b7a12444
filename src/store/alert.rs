//! Owns the alert table: what an alert has beyond a message.

use super::message::Message;
use super::{Result, Session};

/// An alert's own fields as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AlertRow {
    /// The message.
    pub message_id: String,
    /// What was typed, normalised.
    pub text: String,
    /// `observation` or `information`.
    pub kind: String,
    /// `households` or `contact_person_only`.
    pub spread: String,
    /// Who decided, by function.
    pub decided_by: String,
    /// 1 for a drill.
    pub drill: i64,
    /// Validity.
    pub expires_in_minutes: i64,
}

const PUT: &str = "INSERT INTO alert (message_id, text, kind, spread, decided_by, drill, expires_in_minutes)
 VALUES ($1, $2, $3, $4, $5, $6, $7)
 ON CONFLICT (message_id) DO UPDATE SET text = excluded.text, kind = excluded.kind, spread = excluded.spread,
   decided_by = excluded.decided_by, drill = excluded.drill, expires_in_minutes = excluded.expires_in_minutes";

/// Writes an alert's own fields.
///
/// # Errors
/// [`super::StoreError`].
pub async fn put(session: &mut Session, alert: &AlertRow) -> Result<()> {
    let a = alert.clone();
    let statement = session
        .sql(PUT)
        .bind(a.message_id)
        .bind(a.text)
        .bind(a.kind)
        .bind(a.spread)
        .bind(a.decided_by)
        .bind(a.drill)
        .bind(a.expires_in_minutes);
    session.execute(statement).await.map(drop)
}

const GET: &str = "SELECT message_id, text, kind, spread, decided_by, drill, expires_in_minutes
 FROM alert
 WHERE message_id = $1";

/// The own fields of an alert.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, message_id: &str) -> Result<Option<AlertRow>> {
    session.one(session.sql(GET).bind(message_id.to_owned())).await
}

const RECENT_TWIN: &str = "SELECT m.*
 FROM message m
 JOIN alert a ON a.message_id = m.id
 WHERE a.text = $1
   AND m.created_at >= $2
   AND m.id <> $3
   AND m.state <> 'stopped'
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = m.id AND f.stage = 'writing')
   AND EXISTS (
     SELECT 1
     FROM message_area mine
     JOIN message_area theirs ON theirs.area_code = mine.area_code
     WHERE mine.message_id = $3
       AND theirs.message_id = m.id)
 ORDER BY m.id DESC
 LIMIT 1";

/// An alert with the same text that went to some of the same areas at or after `since` (Unix ms), other than `id`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn recent_twin(session: &mut Session, id: &str, text: &str, since: i64) -> Result<Option<Message>> {
    session.one(session.sql(RECENT_TWIN).bind(text.to_owned()).bind(since).bind(id.to_owned())).await
}
