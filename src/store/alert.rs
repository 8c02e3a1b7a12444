//! Owns the alert table: what an alert has beyond a message.

use super::area::codes_json;
use super::message::Message;
use super::{Result, Session};

/// An alert's own fields as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
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
    /// Who watches the replies, by function; empty = nobody was named.
    pub watched_by: String,
    /// E.164 number that is told when an acute reply waits; empty = the configured one.
    pub duty_number: String,
}

const PUT: &str = "INSERT INTO alert (message_id, text, kind, spread, decided_by, drill, expires_in_minutes,
   watched_by, duty_number)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
 ON CONFLICT (message_id) DO UPDATE SET text = excluded.text, kind = excluded.kind, spread = excluded.spread,
   decided_by = excluded.decided_by, drill = excluded.drill, expires_in_minutes = excluded.expires_in_minutes,
   watched_by = excluded.watched_by, duty_number = excluded.duty_number";

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
        .bind(a.expires_in_minutes)
        .bind(a.watched_by)
        .bind(a.duty_number);
    session.execute(statement).await.map(drop)
}

const GET: &str =
    "SELECT message_id, text, kind, spread, decided_by, drill, expires_in_minutes, watched_by, duty_number
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

const ALIVE: &str = "SELECT m.*
 FROM message m
 WHERE m.kind = 'alert'
   AND m.state IN ('queued', 'sending', 'handed_over', 'done')
   AND m.expires_at > $2
   AND (m.follow_up_kind IS NULL OR m.follow_up_kind <> 'all_clear')
   AND NOT EXISTS (
     SELECT 1
     FROM message f
     WHERE f.follows = m.id
       AND f.follow_up_kind = 'all_clear')
   AND EXISTS (
     SELECT 1
     FROM message_area a
     WHERE a.message_id = m.id
       AND a.area_code IN (SELECT v.code FROM {rows $1: code TEXT}))
 ORDER BY m.id DESC
 LIMIT 5";

/// The newest alerts that are still valid at `now` (Unix ms), not ended, and go to any of these areas (with all below
/// them, expanded by the caller); at most five.
///
/// # Errors
/// [`super::StoreError`].
pub async fn alive<'a>(
    session: &mut Session,
    areas: impl IntoIterator<Item = &'a str>,
    now: i64,
) -> Result<Vec<Message>> {
    session.list(session.sql(ALIVE).bind(codes_json(areas)).bind(now)).await
}

/// An alert that somebody has answered.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Answered {
    /// Its message.
    pub id: String,
    /// When it was made, Unix ms.
    pub created_at: i64,
    /// What was typed.
    pub text: String,
}

const ANSWERED: &str = "SELECT m.id, m.created_at, a.text
 FROM alert a
 JOIN message m ON m.id = a.message_id
 WHERE m.created_at >= $1
   AND EXISTS (
     SELECT 1
     FROM observation o
     WHERE o.message_id = m.id
       AND o.kind = 'observation'
       AND o.part_of IS NULL
       AND ($3 = 1 OR o.area_code IN (SELECT v.code FROM {rows $2: code TEXT})))
 ORDER BY m.id DESC
 LIMIT $4";

/// The newest alerts made at or after `since` (Unix ms) with an observation from these areas (JSON rows; empty = from anywhere),
/// at most `limit`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn answered(session: &mut Session, areas_json: &str, since: i64, limit: i64) -> Result<Vec<Answered>> {
    let everywhere = i64::from(areas_json.is_empty());
    let areas = if areas_json.is_empty() { "[]" } else { areas_json };
    session.list(session.sql(ANSWERED).bind(since).bind(areas.to_owned()).bind(everywhere).bind(limit)).await
}

const FOLLOWING: &str = "SELECT *
 FROM message
 WHERE follows = $1
   AND kind = 'alert'
 ORDER BY id";

/// What followed an alert, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn following(session: &mut Session, id: &str) -> Result<Vec<Message>> {
    session.list(session.sql(FOLLOWING).bind(id.to_owned())).await
}

/// Deliveries of one alert that ended alike.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Ending {
    /// A [`crate::domain::delivery::DeliveryState`]'s code.
    pub state: String,
    /// Stable code of the reason.
    pub reason: Option<String>,
    /// How many.
    pub deliveries: i64,
    /// Households behind them.
    pub households: i64,
}

const ENDINGS: &str = "SELECT state, reason, CAST(COUNT(*) AS BIGINT) AS deliveries,
   CAST(SUM(households) AS BIGINT) AS households
 FROM delivery
 WHERE message_id = $1
   AND state IN ('in_doubt', 'undelivered', 'failed', 'expired', 'stopped', 'suppressed', 'unconfirmed')
 GROUP BY state, reason
 ORDER BY state, reason";

/// How the deliveries ended that are not known to have arrived; those in doubt among them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn endings(session: &mut Session, id: &str) -> Result<Vec<Ending>> {
    session.list(session.sql(ENDINGS).bind(id.to_owned())).await
}

const UNREACHED_AREAS: &str = "SELECT r.area_code, CAST(SUM(r.households) AS BIGINT) AS households
 FROM message_recipient r
 LEFT JOIN delivery d ON d.id = r.delivery_id
 WHERE r.message_id = $1
   AND r.area_code NOT IN (
     SELECT q.area_code
     FROM stand_in s
     JOIN delivery e ON e.id = s.delivery_id
     JOIN message_recipient q ON q.message_id = s.message_id AND q.contact_person_id = s.stands_for
     WHERE s.message_id = $1
       AND q.area_code IS NOT NULL
       AND e.state IN ('queued', 'sending', 'accepted', 'in_doubt', 'delivered'))
 GROUP BY r.area_code
 HAVING SUM(CASE WHEN d.state IN ('queued', 'sending', 'accepted', 'in_doubt', 'delivered') THEN 1 ELSE 0 END) = 0
 ORDER BY r.area_code";

/// Areas in which nobody has got an alert, no deputy of anybody there either, and nobody can get it any more, with the households
/// there.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unreached_areas(session: &mut Session, id: &str) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(UNREACHED_AREAS).bind(id.to_owned())).await
}

/// Somebody whose phone an alert has not reached.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Unreached {
    /// Name.
    pub name: String,
    /// Number.
    pub mobile: Option<String>,
    /// Another number.
    pub phone2: Option<String>,
    /// Where they belong.
    pub area_code: String,
    /// Households behind them.
    pub households: i64,
    /// A delivery's state, or nothing where none was made.
    pub state: Option<String>,
    /// Why none was made.
    pub not_reached: Option<String>,
}

const UNREACHED: &str = "SELECT p.name, p.mobile, p.phone2, r.area_code, r.households, d.state, r.not_reached
 FROM message_recipient r
 JOIN contact_person p ON p.id = r.contact_person_id
 LEFT JOIN delivery d ON d.id = r.delivery_id
 WHERE r.message_id = $1
   AND p.erased_at IS NULL
   AND (d.state IN ('undelivered', 'failed', 'expired', 'unconfirmed', 'in_doubt') OR r.not_reached = 'no_mobile')
 ORDER BY r.area_code, r.households DESC, p.name
 LIMIT $2";

/// Whom one may call instead, area by area, at most `limit`; not those who have said that they want no alerts.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unreached(session: &mut Session, id: &str, limit: i64) -> Result<Vec<Unreached>> {
    session.list(session.sql(UNREACHED).bind(id.to_owned()).bind(limit)).await
}

/// Deliveries that came to a state within a minute.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Passed {
    /// Minutes since 1970.
    pub minute: i64,
    /// The state they came to.
    pub state: String,
    /// How many.
    pub deliveries: i64,
}

const PASSED: &str =
    "SELECT e.at / 60000 AS minute, e.to_state AS state, CAST(COUNT(DISTINCT d.id) AS BIGINT) AS deliveries
 FROM delivery d
 JOIN delivery_event e ON e.delivery_id = d.id
 WHERE d.message_id = $1
   AND e.to_state IN ('accepted', 'delivered', 'undelivered', 'failed')
 GROUP BY e.at / 60000, e.to_state
 ORDER BY e.at / 60000";

/// How many of an alert's deliveries came to a state that ends something, minute by minute.
///
/// # Errors
/// [`super::StoreError`].
pub async fn passed_by_minute(session: &mut Session, id: &str) -> Result<Vec<Passed>> {
    session.list(session.sql(PASSED).bind(id.to_owned())).await
}
