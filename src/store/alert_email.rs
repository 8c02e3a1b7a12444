//! Owns who gets an alert by e-mail instead, since it is known not to have reached their phone.
//!
//! The e-mails are a message of their own that follows the alert and is neither alert nor letter. Invariant: a person is found
//! once for each alert.

use super::{Result, Session};
use crate::domain::message::{Counts, MessageState};

/// Persons `w` of alert `$1` whose phone surely has nothing, and, where it follows another, those who got that one by e-mail and are not
/// in this: who have an e-mail address, want alerts and have got no e-mail of it yet.
macro_rules! by_email {
    () => {
        "FROM (
   SELECT r.contact_person_id, r.area_code, r.households, COALESCE(d.final_at, m.handed_over_at) AS known_at
   FROM message_recipient r
   JOIN message m ON m.id = r.message_id
   LEFT JOIN delivery d ON d.id = r.delivery_id
   WHERE r.message_id = $1
     AND (d.state IN ('undelivered', 'expired')
       OR (d.state = 'failed' AND COALESCE(d.reason, '') <> 'in_doubt.given_up')
       OR r.not_reached = 'no_mobile')
   UNION ALL
   SELECT r.contact_person_id, r.area_code, r.households, f.handed_over_at AS known_at
   FROM message f
   JOIN message e ON e.follows = f.follows AND e.kind = 'test'
   JOIN message_recipient r ON r.message_id = e.id AND r.channel = 'email'
   JOIN delivery d ON d.id = r.delivery_id
   WHERE f.id = $1
     AND f.follow_up_kind IS NOT NULL
     AND d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
     AND NOT EXISTS (SELECT 1 FROM message_recipient q WHERE q.message_id = $1 AND q.contact_person_id = r.contact_person_id)) w
 JOIN contact_person p ON p.id = w.contact_person_id
 WHERE p.erased_at IS NULL
   AND p.email IS NOT NULL
   AND (p.email_unusable IS NULL OR p.email_unusable <> p.email)
   AND p.alerts = 1
   AND p.alerts_opt_out_at IS NULL
   AND (p.paused_until_at IS NULL OR p.paused_until_at <= $2)
   AND NOT EXISTS (
     SELECT 1
     FROM message n
     JOIN message_recipient h ON h.message_id = n.id
     WHERE n.follows = $1
       AND n.kind = 'test'
       AND h.contact_person_id = w.contact_person_id)"
    };
}

/// Somebody to be written to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Reader {
    /// The person.
    pub contact_person_id: String,
    /// Their e-mail address.
    pub email: String,
    /// Their watch area when the alert was frozen.
    pub area_code: String,
    /// Households behind them.
    pub households: i64,
}

const READERS: &str = concat!(
    "SELECT w.contact_person_id, p.email, w.area_code, w.households ",
    by_email!(),
    "
 ORDER BY w.contact_person_id"
);

/// Everybody whom an e-mail of the alert `id` would reach at `now` (Unix ms), and nothing else has; where it follows another, also
/// those who have that one by e-mail only.
///
/// # Errors
/// [`super::StoreError`].
pub async fn readers(session: &mut Session, id: &str, now: i64) -> Result<Vec<Reader>> {
    session.list(session.sql(READERS).bind(id.to_owned()).bind(now)).await
}

const COUNT: &str = concat!("SELECT CAST(COUNT(*) AS BIGINT) AS persons ", by_email!());

/// How many [`readers`] there are.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, id: &str, now: i64) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(COUNT).bind(id.to_owned()).bind(now)).await?;
    Ok(row.map_or(0, |(persons,)| persons))
}

const OUT: &str = "SELECT m.id
 FROM message m
 JOIN alert a ON a.message_id = m.id
 WHERE m.kind = 'alert'
   AND m.state IN ('handed_over', 'done')
   AND m.stopped_at IS NULL
   AND m.expires_at > $1
   AND m.handed_over_at > $2
   AND a.drill = 0
   AND NOT EXISTS (
     SELECT 1
     FROM message f
     WHERE f.follows = m.id
       AND (f.follow_up_kind IN ('all_clear', 'correction') OR (f.kind = 'test' AND f.stopped_at IS NOT NULL)))
 ORDER BY m.id";

/// Alerts that are valid at `now`, were handed over after `since` (Unix ms), are neither drills nor ended nor corrected, and of which
/// no e-mail was stopped.
///
/// # Errors
/// [`super::StoreError`].
pub async fn out(session: &mut Session, now: i64, since: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(OUT).bind(now).bind(since)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

const IS_DUE: &str = concat!(
    "SELECT w.contact_person_id ",
    by_email!(),
    "
   AND w.known_at <= $3
 LIMIT 1"
);

/// Whether there are [`readers`] of whom it has been known since `until` that their phone has nothing; Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn is_due(session: &mut Session, id: &str, (now, until): (i64, i64)) -> Result<bool> {
    let row: Option<(String,)> = session.one(session.sql(IS_DUE).bind(id.to_owned()).bind(now).bind(until)).await?;
    Ok(row.is_some())
}

const SENT: &str = "SELECT m.id, m.created_at, m.created_by, m.state
 FROM message m
 WHERE m.follows = $1
   AND m.kind = 'test'
   AND EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = m.id AND d.channel = 'email')
 ORDER BY m.id";

/// E-mails that were written instead of an alert, as one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The message.
    pub id: String,
    /// When it was written, Unix ms.
    pub at: i64,
    /// By whom.
    pub by: String,
    /// Its state.
    pub state: MessageState,
    /// Its deliveries.
    pub counts: Counts,
}

/// What was written instead of the alert `id`, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sent(session: &mut Session, id: &str) -> Result<Vec<Sent>> {
    let rows: Vec<(String, i64, String, String)> = session.list(session.sql(SENT).bind(id.to_owned())).await?;
    let mut found = Vec::with_capacity(rows.len());
    for (id, at, by, state) in rows {
        let counts = super::message::counts(session, &id).await?;
        let state = MessageState::from_code(&state).unwrap_or(MessageState::Queued);
        found.push(Sent { id, at, by, state, counts });
    }
    Ok(found)
}
