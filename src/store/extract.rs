//! Owns reading all that is held on one person, for that person (GDPR article 15).
//!
//! Invariant: every table that refers to a contact person is read here.

use super::inbound_mail::InboundMail;
use super::{Result, Session};

/// A message the person was frozen into, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MessageRow {
    /// The message.
    pub message_id: String,
    /// `alert`, `letter` or `test`.
    pub kind: String,
    /// The text.
    pub body: String,
    /// When it was made, Unix ms.
    pub created_at: i64,
    /// `sms`, `email` or `paper`.
    pub channel: String,
    /// Why the person was not reached, if so.
    pub not_reached: Option<String>,
    /// The delivery that covers the person.
    pub delivery_id: Option<i64>,
    /// Where it went.
    pub address: Option<String>,
    /// Its state.
    pub state: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Hand-overs.
    pub attempts: Option<i64>,
    /// When it became final, Unix ms.
    pub final_at: Option<i64>,
}

macro_rules! messages {
    ($only:literal) => {
        concat!(
            "SELECT r.message_id, m.kind, m.body, m.created_at, r.channel, r.not_reached, r.delivery_id, d.address, d.state,
   d.reason, d.attempts, d.final_at
 FROM message_recipient r
 JOIN message m ON m.id = r.message_id
 LEFT JOIN delivery d ON d.id = r.delivery_id
 WHERE r.contact_person_id = $1",
            $only,
            "
 ORDER BY m.created_at, r.message_id, r.channel"
        )
    };
}

const MESSAGES: &str = messages!("");

/// What nobody has approved, or what was taken back in time, is not the person's to read.
const MESSAGES_OUT: &str = messages!(
    "
   AND m.sends_at <= $2
   AND (m.state IN ('queued', 'sending', 'handed_over', 'done')
     OR (m.state = 'stopped' AND d.state IN ('accepted', 'in_doubt', 'delivered', 'undelivered', 'unconfirmed')))
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = m.id AND f.stage = 'writing')"
);

/// The messages a person was frozen into, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn messages(session: &mut Session, contact_person_id: &str) -> Result<Vec<MessageRow>> {
    session.list(session.sql(MESSAGES).bind(contact_person_id.to_owned())).await
}

/// Those of them that had gone out at a time, Unix ms: what the person themselves may read.
///
/// # Errors
/// [`super::StoreError`].
pub async fn messages_out(session: &mut Session, contact_person_id: &str, now: i64) -> Result<Vec<MessageRow>> {
    session.list(session.sql(MESSAGES_OUT).bind(contact_person_id.to_owned()).bind(now)).await
}

/// What the person has answered.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ObservationRow {
    /// The observation.
    pub id: String,
    /// `sms` or `email`.
    pub channel: String,
    /// Where it came from.
    pub sender: String,
    /// What was taken for what.
    pub kind: String,
    /// The text.
    pub text: String,
    /// How far it has come.
    pub state: String,
    /// Where something was seen.
    pub place: String,
    /// The alert or letter it answers.
    pub message_id: Option<String>,
    /// Unix ms.
    pub received_at: i64,
}

const OBSERVATIONS: &str =
    "SELECT o.id, o.channel, o.sender, o.kind, o.text, o.state, o.place, o.message_id, o.received_at
 FROM observation o
 WHERE o.contact_person_id = $1
 ORDER BY o.received_at, o.id";

/// What a person has answered, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn observations(session: &mut Session, contact_person_id: &str) -> Result<Vec<ObservationRow>> {
    session.list(session.sql(OBSERVATIONS).bind(contact_person_id.to_owned())).await
}

const MAIL: &str =
    "SELECT id, octets, is_cut, received_at, state, kind, verdict, token_state, folder, delivery_id, contact_person_id,
   observation_id, code, sender, subject, diagnostic, handled_at
 FROM inbound_mail
 WHERE contact_person_id = $1
 ORDER BY id";

/// The mails that came from or about a person, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn mail(session: &mut Session, contact_person_id: &str) -> Result<Vec<InboundMail>> {
    session.list(session.sql(MAIL).bind(contact_person_id.to_owned())).await
}

/// What was done to or with a person's record.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LogRow {
    /// Unix ms.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What.
    pub action: String,
}

const LOG: &str = "SELECT at, actor, action
 FROM audit
 WHERE object_id = $1
 ORDER BY at, id";

/// The log entries about a person, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn log(session: &mut Session, contact_person_id: &str) -> Result<Vec<LogRow>> {
    session.list(session.sql(LOG).bind(contact_person_id.to_owned())).await
}

/// A row of an imported file that is about a person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct FileRow {
    /// The import.
    pub import_id: String,
    /// When, Unix ms.
    pub created_at: i64,
    /// The row's number.
    pub number: i64,
    /// What was done.
    pub action: String,
    /// What stood there, JSON.
    pub item: String,
}

const FILE_ROWS: &str = "SELECT r.import_id, i.created_at, r.number, r.action, r.item
 FROM import_row r
 JOIN import i ON i.id = r.import_id
 WHERE r.contact_person_id = $1
 ORDER BY i.created_at, r.number";

/// The rows of imported files about a person, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn file_rows(session: &mut Session, contact_person_id: &str) -> Result<Vec<FileRow>> {
    session.list(session.sql(FILE_ROWS).bind(contact_person_id.to_owned())).await
}
