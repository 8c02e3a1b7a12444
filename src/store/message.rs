//! Owns the message table: what alerts and letters have in common, and its counters.

use super::{Result, Session, json};
use crate::domain::delivery::DeliveryState;
use crate::domain::message::{Counts, FollowUpKind, MessageState};

/// A message as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Message {
    /// UUIDv7.
    pub id: String,
    /// Running number; delivery ids are made of it.
    pub number: i64,
    /// `alert`, `letter` or `test`.
    pub kind: String,
    /// A [`MessageState`]'s code.
    pub state: String,
    /// Order among messages.
    pub priority: i64,
    /// Counts edits from 1.
    pub revision: i64,
    /// Digest of text, areas and audience.
    pub content_hash: String,
    /// The text as sent, for SMS.
    pub body: String,
    /// 1 when it must go from a number, so that it can be answered.
    pub numeric_sender: i64,
    /// Audience figures as JSON.
    pub audience: String,
    /// Persons with a delivered delivery.
    pub reach_persons: i64,
    /// Households behind those.
    pub reach_households: i64,
    /// The message this one follows.
    pub follows: Option<String>,
    /// How it follows.
    pub follow_up_kind: Option<String>,
    /// When it was asked to go, Unix ms.
    pub send_at: Option<i64>,
    /// When hand-over begins, Unix ms; `None` until approved.
    pub sends_at: Option<i64>,
    /// Length of the undo window.
    pub undo_seconds: i64,
    /// When hand-over must have happened, Unix ms.
    pub expires_at: Option<i64>,
    /// When it was stopped, Unix ms.
    pub stopped_at: Option<i64>,
    /// When nothing waited any more, Unix ms.
    pub handed_over_at: Option<i64>,
    /// When every delivery was final, Unix ms.
    pub done_at: Option<i64>,
    /// Who made it.
    pub created_by: String,
    /// When, Unix ms.
    pub created_at: i64,
    /// When anything shown of it last changed, Unix ms.
    pub changed_at: i64,
}

impl Message {
    /// The state.
    #[must_use]
    pub fn state(&self) -> MessageState {
        MessageState::from_code(&self.state).expect("the table's CHECK allows these states only")
    }

    /// Whether it follows an alert and ends or corrects it.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.follow_up_kind.as_deref().and_then(FollowUpKind::from_code).is_some_and(FollowUpKind::closes)
    }
}

const INSERT: &str = "INSERT INTO message (id, number, kind, state, priority, revision, content_hash, body, audience,
   follows, follow_up_kind, send_at, sends_at, undo_seconds, expires_at, created_by, created_at, changed_at, numeric_sender)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)";

/// Adds a message.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, message: &Message) -> Result<()> {
    let m = message.clone();
    let statement = session
        .sql(INSERT)
        .bind(m.id)
        .bind(m.number)
        .bind(m.kind)
        .bind(m.state)
        .bind(m.priority)
        .bind(m.revision)
        .bind(m.content_hash)
        .bind(m.body)
        .bind(m.audience)
        .bind(m.follows)
        .bind(m.follow_up_kind)
        .bind(m.send_at)
        .bind(m.sends_at)
        .bind(m.undo_seconds)
        .bind(m.expires_at)
        .bind(m.created_by)
        .bind(m.created_at)
        .bind(m.changed_at)
        .bind(m.numeric_sender);
    session.execute(statement).await.map(drop)
}

const REVISE: &str = "UPDATE message
 SET state = $2, revision = $3, content_hash = $4, body = $5, audience = $6, send_at = $7, sends_at = $8,
   undo_seconds = $9, expires_at = $10, changed_at = $11, numeric_sender = $12
 WHERE id = $1";

/// Writes a new revision of a message that is being written or reviewed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn revise(session: &mut Session, message: &Message) -> Result<()> {
    let m = message.clone();
    let statement = session
        .sql(REVISE)
        .bind(m.id)
        .bind(m.state)
        .bind(m.revision)
        .bind(m.content_hash)
        .bind(m.body)
        .bind(m.audience)
        .bind(m.send_at)
        .bind(m.sends_at)
        .bind(m.undo_seconds)
        .bind(m.expires_at)
        .bind(m.changed_at)
        .bind(m.numeric_sender);
    session.execute(statement).await.map(drop)
}

/// A message that is being made in pieces is not there before the last of them.
macro_rules! is_made {
    () => {
        "NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = message.id AND f.stage = 'writing' AND f.undo = 'remove')"
    };
}

const GET: &str = concat!(
    "SELECT *
 FROM message
 WHERE id = $1
   AND ",
    is_made!()
);

/// The message with this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<Message>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const GET_LOCKED: &str = "SELECT *
 FROM message
 WHERE id = $1
 {for update}";

/// The message with this id, held until the transaction ends.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get_locked(session: &mut Session, id: &str) -> Result<Option<Message>> {
    session.one(session.sql(GET_LOCKED).bind(id.to_owned())).await
}

const HOLD: &str = "SELECT id
 FROM message
 WHERE id = $1
 {for no key update}";

/// Holds a message against others who hold it, but not against those who write out its audience: they may wait for what this
/// transaction has.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hold(session: &mut Session, id: &str) -> Result<()> {
    session.row(session.sql(HOLD).bind(id.to_owned())).await.map(drop)
}

const PAGE: &str = concat!(
    "SELECT *
 FROM message
 WHERE kind = $1
   AND id < $2
   AND ",
    is_made!(),
    "
 ORDER BY id DESC
 LIMIT $3"
);

/// A page of messages of one kind, newest first, after the id `after` (empty = from the newest).
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, kind: &'static str, after: &str, limit: i64) -> Result<Vec<Message>> {
    let after = if after.is_empty() { "g".to_owned() } else { after.to_owned() };
    session.list(session.sql(PAGE).bind(kind).bind(after).bind(limit)).await
}

const UNFINISHED: &str = concat!(
    "SELECT *
 FROM message
 WHERE kind = $1
   AND state IN ('draft', 'awaiting_approval', 'queued', 'sending', 'handed_over')
   AND ",
    is_made!(),
    "
 ORDER BY id DESC
 LIMIT $2"
);

/// Messages of one kind that something can still happen to, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unfinished(session: &mut Session, kind: &'static str, limit: i64) -> Result<Vec<Message>> {
    session.list(session.sql(UNFINISHED).bind(kind).bind(limit)).await
}

const CHANGED: &str = concat!(
    "SELECT *
 FROM message
 WHERE changed_at >= $1
   AND kind <> 'test'
   AND ",
    is_made!(),
    "
 ORDER BY changed_at, id
 LIMIT $2"
);

/// Messages that changed at or after `since` (Unix ms), in the order they changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn changed_since(session: &mut Session, since: i64, limit: i64) -> Result<Vec<Message>> {
    session.list(session.sql(CHANGED).bind(since).bind(limit)).await
}

const SET_STATE: &str = "UPDATE message
 SET state = $2, sends_at = $3, stopped_at = $4, changed_at = $5
 WHERE id = $1";

/// Sets the state that an operator's act leads to, with its times.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_state(session: &mut Session, message: &Message, state: MessageState, now: i64) -> Result<()> {
    let statement = session
        .sql(SET_STATE)
        .bind(message.id.clone())
        .bind(state.code())
        .bind(message.sends_at)
        .bind(message.stopped_at)
        .bind(now);
    session.execute(statement).await.map(drop)
}

const SET_PROGRESS: &str = "UPDATE message
 SET state = $2,
   handed_over_at = CASE WHEN $3 = 1 THEN COALESCE(handed_over_at, $5) ELSE handed_over_at END,
   done_at = CASE WHEN $4 = 1 THEN COALESCE(done_at, $5) ELSE done_at END,
   changed_at = $5
 WHERE id = $1";

/// Sets the state that follows from the counts; `(nothing waits, all final, now)`.
///
/// # Errors
/// [`super::StoreError`].
pub(super) async fn set_progress(
    session: &mut Session,
    id: &str,
    state: MessageState,
    (handed_over, done, now): (bool, bool, i64),
) -> Result<()> {
    let statement = session
        .sql(SET_PROGRESS)
        .bind(id.to_owned())
        .bind(state.code())
        .bind(i64::from(handed_over))
        .bind(i64::from(done))
        .bind(now);
    session.execute(statement).await.map(drop)
}

const BEGIN_SENDING: &str = "UPDATE message
 SET state = 'sending', changed_at = $2
 WHERE id = $1
   AND state = 'queued'";

/// Notes that the first delivery of a message is being handed over.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin_sending(session: &mut Session, id: &str, now: i64) -> Result<()> {
    session.execute(session.sql(BEGIN_SENDING).bind(id.to_owned()).bind(now)).await.map(drop)
}

/// How far a message has come.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Progress {
    /// A [`MessageState`]'s code.
    pub state: String,
    /// When nothing waited any more, Unix ms.
    pub handed_over_at: Option<i64>,
    /// When all was final, Unix ms.
    pub done_at: Option<i64>,
}

const ADD_REACH: &str = "UPDATE message
 SET reach_persons = reach_persons + $2, reach_households = reach_households + $3, changed_at = $4
 WHERE id = $1
 RETURNING state, handed_over_at, done_at";

/// Adds persons and households reached to a message that changed at `now` (Unix ms), and holds it until the transaction ends.
///
/// # Errors
/// [`super::StoreError`].
pub(super) async fn add_reach(
    session: &mut Session,
    id: &str,
    (persons, households): (i64, i64),
    now: i64,
) -> Result<Option<Progress>> {
    session.one(session.sql(ADD_REACH).bind(id.to_owned()).bind(persons).bind(households).bind(now)).await
}

const COUNTERS: &str = "SELECT state, deliveries
 FROM message_count
 WHERE message_id = $1";

/// As [`counts`], with leased deliveries counted as queued: no delivery is looked at.
///
/// # Errors
/// [`super::StoreError`].
pub(super) async fn counters(session: &mut Session, id: &str) -> Result<Counts> {
    let rows: Vec<(String, i64)> = session.list(session.sql(COUNTERS).bind(id.to_owned())).await?;
    Ok(Counts::new(rows.into_iter().filter_map(|(state, n)| DeliveryState::from_code(&state).map(|state| (state, n)))))
}

const COUNTS: &str = "SELECT state, deliveries
 FROM message_count
 WHERE message_id = $1
 UNION ALL
 SELECT 'sending' AS state, CAST(COUNT(*) AS BIGINT) AS deliveries
 FROM delivery
 WHERE message_id = $1
   AND state = 'sending'
 UNION ALL
 SELECT 'queued' AS state, CAST(-COUNT(*) AS BIGINT) AS deliveries
 FROM delivery
 WHERE message_id = $1
   AND state = 'sending'";

/// How many deliveries of a message are in each state.
///
/// # Errors
/// [`super::StoreError`].
pub async fn counts(session: &mut Session, id: &str) -> Result<Counts> {
    let rows: Vec<(String, i64)> = session.list(session.sql(COUNTS).bind(id.to_owned())).await?;
    Ok(Counts::new(rows.into_iter().filter_map(|(state, n)| DeliveryState::from_code(&state).map(|state| (state, n)))))
}

const CLEAR_COUNTS: &str = "DELETE FROM message_count
 WHERE message_id = $1";

/// Forgets the counters of a message whose audience is frozen anew.
///
/// # Errors
/// [`super::StoreError`].
pub async fn clear_counts(session: &mut Session, id: &str) -> Result<()> {
    session.execute(session.sql(CLEAR_COUNTS).bind(id.to_owned())).await.map(drop)
}

#[derive(serde::Serialize)]
struct AreaRow<'a> {
    code: &'a str,
    chosen: i64,
}

const CLEAR_AREAS: &str = "DELETE FROM message_area
 WHERE message_id = $1";

const INSERT_AREAS: &str = "INSERT INTO message_area (message_id, area_code, chosen)
 SELECT $2, v.code, v.chosen
 FROM {rows $1: code TEXT, chosen BIGINT}";

/// Sets the areas a message goes to: `(code, named by the sender)`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set_areas<'a>(
    session: &mut Session,
    id: &str,
    areas: impl IntoIterator<Item = (&'a str, bool)>,
) -> Result<()> {
    session.execute(session.sql(CLEAR_AREAS).bind(id.to_owned())).await?;
    let rows: Vec<AreaRow<'_>> =
        areas.into_iter().map(|(code, chosen)| AreaRow { code, chosen: i64::from(chosen) }).collect();
    session.execute(session.sql(INSERT_AREAS).bind(json(&rows)).bind(id.to_owned())).await.map(drop)
}

const CHOSEN_AREAS: &str = "SELECT area_code
 FROM message_area
 WHERE message_id = $1
   AND chosen = 1
 ORDER BY area_code";

/// The areas the sender named.
///
/// # Errors
/// [`super::StoreError`].
pub async fn chosen_areas(session: &mut Session, id: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(CHOSEN_AREAS).bind(id.to_owned())).await?;
    Ok(rows.into_iter().map(|(code,)| code).collect())
}

/// One act upon a revision.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Review {
    /// Which revision.
    pub revision: i64,
    /// `written`, `approved`, `returned` or `unreviewed`.
    pub act: String,
    /// Who.
    pub actor: String,
    /// Digest of what was written or approved.
    pub content_hash: String,
    /// Why.
    pub reason: String,
    /// When, Unix ms.
    pub at: i64,
}

const ADD_REVIEW: &str =
    "INSERT INTO message_review (message_id, position, revision, act, actor, content_hash, reason, at)
 SELECT $1, COALESCE(MAX(position), 0) + 1, $2, $3, $4, $5, $6, $7
 FROM message_review
 WHERE message_id = $1";

/// Adds an act upon a revision.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_review(session: &mut Session, message_id: &str, review: &Review) -> Result<()> {
    let r = review.clone();
    let statement = session
        .sql(ADD_REVIEW)
        .bind(message_id.to_owned())
        .bind(r.revision)
        .bind(r.act)
        .bind(r.actor)
        .bind(r.content_hash)
        .bind(r.reason)
        .bind(r.at);
    session.execute(statement).await.map(drop)
}

const REVIEWS: &str = "SELECT revision, act, actor, content_hash, reason, at
 FROM message_review
 WHERE message_id = $1
 ORDER BY position";

/// All acts upon a message, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn reviews(session: &mut Session, message_id: &str) -> Result<Vec<Review>> {
    session.list(session.sql(REVIEWS).bind(message_id.to_owned())).await
}
