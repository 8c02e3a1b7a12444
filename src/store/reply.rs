//! Owns what we wrote because of an observation: which message, to whose, and who has had an automatic answer.
//!
//! Text, delivery and outcome are the message's. Invariant: an automatic answer about one thing is noted once per sender.

use super::{Result, Session, json};

/// A word of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReply<'a> {
    /// The message it is.
    pub message_id: &'a str,
    /// What it answers.
    pub observation_id: &'a str,
    /// Its delivery.
    pub delivery_id: i64,
    /// Whom it goes to, if known.
    pub contact_person_id: Option<&'a str>,
    /// `answer`, `feedback`, `automatic`, `confirmation` or `duty`.
    pub kind: &'static str,
    /// Unix ms.
    pub created_at: i64,
}

const INSERT: &str = "INSERT INTO reply (message_id, observation_id, delivery_id, contact_person_id, kind, created_at)
 VALUES ($1, $2, $3, $4, $5, $6)";

/// Notes a word of ours.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, reply: &NewReply<'_>) -> Result<()> {
    let statement = session
        .sql(INSERT)
        .bind(reply.message_id.to_owned())
        .bind(reply.observation_id.to_owned())
        .bind(reply.delivery_id)
        .bind(reply.contact_person_id.map(str::to_owned))
        .bind(reply.kind)
        .bind(reply.created_at);
    session.execute(statement).await.map(drop)
}

/// A word of ours with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Reply {
    /// The message.
    pub message_id: String,
    /// What it answers.
    pub observation_id: String,
    /// The delivery.
    pub delivery_id: i64,
    /// `answer`, `feedback`, `automatic`, `confirmation` or `duty`.
    pub kind: String,
    /// `sms` or `email`.
    pub channel: String,
    /// What it says.
    pub body: String,
    /// The delivery's state.
    pub state: String,
    /// Who wrote it, an actor's id.
    pub created_by: String,
    /// Unix ms.
    pub created_at: i64,
}

const OF_OBSERVATIONS: &str =
    "SELECT r.message_id, r.observation_id, r.delivery_id, r.kind, d.channel, m.body, d.state, m.created_by, r.created_at
 FROM reply r
 JOIN message m ON m.id = r.message_id
 JOIN delivery d ON d.id = r.delivery_id
 WHERE r.observation_id IN (SELECT v.id FROM {rows $1: id TEXT})
 ORDER BY m.number, r.observation_id";

#[derive(serde::Serialize)]
struct IdRow<'a> {
    id: &'a str,
}

/// What we wrote because of these observations, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_observations(session: &mut Session, ids: &[&str]) -> Result<Vec<Reply>> {
    let rows = json(&ids.iter().map(|id| IdRow { id }).collect::<Vec<_>>());
    session.list(session.sql(OF_OBSERVATIONS).bind(rows)).await
}

const OF_PERSON: &str =
    "SELECT r.message_id, r.observation_id, r.delivery_id, r.kind, d.channel, m.body, d.state, m.created_by, r.created_at
 FROM reply r
 JOIN message m ON m.id = r.message_id
 JOIN delivery d ON d.id = r.delivery_id
 WHERE r.contact_person_id = $1
   AND r.kind <> 'duty'
 ORDER BY m.number, r.observation_id";

/// What we wrote to a person, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<Reply>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const IS_REPLY: &str = "SELECT COALESCE(MAX(o.area_code), '') AS area_code
 FROM reply r
 JOIN observation o ON o.id = r.observation_id
 WHERE r.message_id = $1
 GROUP BY r.message_id";

/// The area of the observation that a message answers, empty for an unknown sender's; `None` when it answers none.
///
/// # Errors
/// [`super::StoreError`].
pub async fn area_of(session: &mut Session, message_id: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = session.one(session.sql(IS_REPLY).bind(message_id.to_owned())).await?;
    Ok(row.map(|(area,)| area))
}

const NOTE_AUTOMATIC: &str = "INSERT INTO automatic_answer (fingerprint, about, created_at)
 VALUES ($1, $2, $3)
 ON CONFLICT (fingerprint, about) DO NOTHING";

/// Notes that a sender, by keyed digest, gets an automatic answer about something; `false` when one has had it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn note_automatic(session: &mut Session, (fingerprint, about): (&str, &str), now: i64) -> Result<bool> {
    let statement = session.sql(NOTE_AUTOMATIC).bind(fingerprint.to_owned()).bind(about.to_owned()).bind(now);
    Ok(session.execute(statement).await? == 1)
}

const AUTOMATIC_SINCE: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS answers
 FROM automatic_answer
 WHERE fingerprint = $1
   AND created_at >= $2";

/// How many automatic answers a sender has had since a time, Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn automatic_since(session: &mut Session, fingerprint: &str, since: i64) -> Result<i64> {
    let row: Option<(i64,)> =
        session.one(session.sql(AUTOMATIC_SINCE).bind(fingerprint.to_owned()).bind(since)).await?;
    Ok(row.map_or(0, |(answers,)| answers))
}
