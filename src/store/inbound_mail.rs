//! Owns incoming mail: as it came, in pieces of Base64, and what was read out of it.
//!
//! Invariant: the same octets to the same recipient are one mail; a mail is read once.

use serde::Serialize;

use super::{Result, Session, json};

/// A mail that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMail {
    /// UUIDv7.
    pub id: String,
    /// SHA-256 over recipient and octets, hex.
    pub digest: String,
    /// Envelope recipient; empty where it is not known.
    pub recipient: String,
    /// `pipe` or `mailbox`.
    pub source: &'static str,
    /// How long it was, also what was not kept of it.
    pub octets: i64,
    /// Whether the end of it was not kept.
    pub is_cut: bool,
    /// Unix ms.
    pub received_at: i64,
}

const KEEP: &str = "INSERT INTO inbound_mail (id, digest, recipient, source, octets, is_cut, received_at, state)
 VALUES ($1, $2, $3, $4, $5, $6, $7, 'new')
 ON CONFLICT (digest) DO NOTHING";

/// Keeps a mail without its octets; says whether it is new.
///
/// # Errors
/// [`super::StoreError`].
pub async fn keep(session: &mut Session, mail: &NewMail) -> Result<bool> {
    let statement = session
        .sql(KEEP)
        .bind(mail.id.clone())
        .bind(mail.digest.clone())
        .bind(mail.recipient.clone())
        .bind(mail.source)
        .bind(mail.octets)
        .bind(i64::from(mail.is_cut))
        .bind(mail.received_at);
    Ok(session.execute(statement).await? > 0)
}

const ADD_PART: &str = "INSERT INTO inbound_mail_part (mail_id, number, content)
 VALUES ($1, $2, $3)";

/// Adds a piece of a mail.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add_part(session: &mut Session, mail_id: &str, (number, content): (i64, String)) -> Result<()> {
    let statement = session.sql(ADD_PART).bind(mail_id.to_owned()).bind(number).bind(content);
    session.execute(statement).await.map(drop)
}

const OF_OBSERVATION: &str = "SELECT id
 FROM inbound_mail
 WHERE observation_id = $1";

/// The mail that an observation came as, if it did and is kept.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_observation(session: &mut Session, observation_id: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = session.one(session.sql(OF_OBSERVATION).bind(observation_id.to_owned())).await?;
    Ok(row.map(|(id,)| id))
}

const PARTS: &str = "SELECT content
 FROM inbound_mail_part
 WHERE mail_id = $1
   AND number < $2
 ORDER BY number";

/// The first `most` pieces of a mail, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn parts(session: &mut Session, mail_id: &str, most: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(PARTS).bind(mail_id.to_owned()).bind(most)).await?;
    Ok(rows.into_iter().map(|(content,)| content).collect())
}

/// The octets that pieces stand for.
#[must_use]
pub fn octets(parts: &[String]) -> Vec<u8> {
    parts.iter().flat_map(|part| data_encoding::BASE64.decode(part.as_bytes()).unwrap_or_default()).collect()
}

/// A mail that is not read yet.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Unread {
    /// Its id.
    pub id: String,
    /// Its digest.
    pub digest: String,
    /// Envelope recipient.
    pub recipient: String,
    /// Readings begun before.
    pub tries: i64,
    /// Unix ms.
    pub received_at: i64,
}

const UNREAD: &str = "SELECT id, digest, recipient, tries, received_at
 FROM inbound_mail
 WHERE state = 'new'
   AND (tried_at IS NULL OR tried_at < $2)
 ORDER BY tries, id
 LIMIT $1";

/// Mails that are not read yet and that nobody has begun to read since `before`, Unix ms; those first that nobody has tried.
///
/// # Errors
/// [`super::StoreError`].
pub async fn unread(session: &mut Session, limit: i64, before: i64) -> Result<Vec<Unread>> {
    session.list(session.sql(UNREAD).bind(limit).bind(before)).await
}

#[derive(Serialize)]
struct TryRow<'a> {
    id: &'a str,
    tries: i64,
}

fn try_rows(mails: &[Unread]) -> String {
    let mut rows: Vec<TryRow<'_>> = mails.iter().map(|mail| TryRow { id: &mail.id, tries: mail.tries }).collect();
    rows.sort_unstable_by_key(|row| row.id);
    json(&rows)
}

const BEGIN_READING: &str = "UPDATE inbound_mail
 SET tries = inbound_mail.tries + 1, tried_at = $2
 FROM {rows $1: id TEXT, tries BIGINT}
 WHERE inbound_mail.id = v.id
   AND inbound_mail.tries = v.tries
   AND inbound_mail.state = 'new'
 RETURNING inbound_mail.id";

/// Counts that these mails are about to be read, before anything can go wrong with it; says which of them nobody else has begun to
/// read meanwhile.
///
/// # Errors
/// [`super::StoreError`].
pub async fn begin_reading(session: &mut Session, mails: &[Unread], now: i64) -> Result<Vec<String>> {
    let begun: Vec<(String,)> = session.list(session.sql(BEGIN_READING).bind(try_rows(mails)).bind(now)).await?;
    Ok(begun.into_iter().map(|(id,)| id).collect())
}

const GIVE_BACK: &str = "UPDATE inbound_mail
 SET tries = v.tries, tried_at = NULL
 FROM {rows $1: id TEXT, tries BIGINT}
 WHERE inbound_mail.id = v.id
   AND inbound_mail.tries = v.tries + 1
   AND inbound_mail.state = 'new'";

/// Takes back that these mails, as they were found unread, were begun: it was the database that was in the way, not they.
///
/// # Errors
/// [`super::StoreError`].
pub async fn give_back(session: &mut Session, mails: &[Unread]) -> Result<()> {
    session.execute(session.sql(GIVE_BACK).bind(try_rows(mails))).await.map(drop)
}

/// What was read out of a mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Read {
    /// `read` or `unreadable`.
    pub state: &'static str,
    /// A meaning's code.
    pub kind: &'static str,
    /// A verdict's code.
    pub verdict: Option<&'static str>,
    /// `proven`, `forged` or `none`.
    pub token_state: &'static str,
    /// `tray`, `reports`, `automatic` or `replies`.
    pub folder: &'static str,
    /// The delivery it is about.
    pub delivery_id: Option<i64>,
    /// The person it is about or from.
    pub contact_person_id: Option<String>,
    /// Enhanced or reply code.
    pub code: Option<String>,
    /// Who sent it; personal data.
    pub sender: String,
    /// Its subject; personal data.
    pub subject: String,
    /// What a server said; personal data may stand in it.
    pub diagnostic: String,
}

const FINISH: &str = "UPDATE inbound_mail
 SET state = $2, kind = $3, verdict = $4, token_state = $5, folder = $6, delivery_id = $7, contact_person_id = $8, code = $9,
   sender = $10, subject = $11, diagnostic = $12, read_at = $13
 WHERE id = $1
   AND state = 'new'";

/// Writes what was read out of a mail; says whether it was not read already.
///
/// # Errors
/// [`super::StoreError`].
pub async fn finish(session: &mut Session, id: &str, read: &Read, now: i64) -> Result<bool> {
    let r = read.clone();
    let statement = session
        .sql(FINISH)
        .bind(id.to_owned())
        .bind(r.state)
        .bind(r.kind)
        .bind(r.verdict)
        .bind(r.token_state)
        .bind(r.folder)
        .bind(r.delivery_id)
        .bind(r.contact_person_id)
        .bind(r.code)
        .bind(r.sender)
        .bind(r.subject)
        .bind(r.diagnostic)
        .bind(now);
    Ok(session.execute(statement).await? > 0)
}

const TIE: &str = "UPDATE inbound_mail
 SET observation_id = $2
 WHERE id = $1";

/// Notes which observation a person's mail became.
///
/// # Errors
/// [`super::StoreError`].
pub async fn tie(session: &mut Session, id: &str, observation_id: &str) -> Result<()> {
    session.execute(session.sql(TIE).bind(id.to_owned()).bind(observation_id.to_owned())).await.map(drop)
}

/// An incoming mail as shown.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct InboundMail {
    /// Its id.
    pub id: String,
    /// How long it was.
    pub octets: i64,
    /// 1 when the end of it was not kept.
    pub is_cut: i64,
    /// Unix ms.
    pub received_at: i64,
    /// `new`, `read` or `unreadable`.
    pub state: String,
    /// A meaning's code.
    pub kind: Option<String>,
    /// A verdict's code.
    pub verdict: Option<String>,
    /// `proven`, `forged` or `none`.
    pub token_state: Option<String>,
    /// Where people find it.
    pub folder: Option<String>,
    /// The delivery it is about.
    pub delivery_id: Option<i64>,
    /// The person it is about or from.
    pub contact_person_id: Option<String>,
    /// The observation it became.
    pub observation_id: Option<String>,
    /// Enhanced or reply code.
    pub code: Option<String>,
    /// Who sent it.
    pub sender: String,
    /// Its subject.
    pub subject: String,
    /// What a server said.
    pub diagnostic: String,
    /// When somebody put it aside, Unix ms.
    pub handled_at: Option<i64>,
}

macro_rules! select_mail {
    () => {
        "SELECT id, octets, is_cut, received_at, state, kind, verdict, token_state, folder, delivery_id, contact_person_id,
   observation_id, code, sender, subject, diagnostic, handled_at
 FROM inbound_mail"
    };
}

const GET: &str = concat!(select_mail!(), "\n WHERE id = $1");

/// The mail with this id.
///
/// # Errors
/// [`super::StoreError`].
pub async fn get(session: &mut Session, id: &str) -> Result<Option<InboundMail>> {
    session.one(session.sql(GET).bind(id.to_owned())).await
}

const PAGE: &str = concat!(
    select_mail!(),
    "
 WHERE folder = $1
   AND ($1 <> 'tray' OR handled_at IS NULL)
   AND ($2 = '' OR id < $2)
 ORDER BY id DESC
 LIMIT $3"
);

/// A page of a folder, newest first, after the mail with the id `after`; of the tray, what nobody has put aside.
///
/// # Errors
/// [`super::StoreError`].
pub async fn page(session: &mut Session, folder: &str, (after, limit): (&str, i64)) -> Result<Vec<InboundMail>> {
    session.list(session.sql(PAGE).bind(folder.to_owned()).bind(after.to_owned()).bind(limit)).await
}

const WAITING: &str = "SELECT
   CAST(COALESCE(SUM(CASE WHEN state = 'new' THEN 1 ELSE 0 END), 0) AS BIGINT) AS unread,
   CAST(COALESCE(SUM(CASE WHEN folder = 'tray' AND handled_at IS NULL THEN 1 ELSE 0 END), 0) AS BIGINT) AS in_tray
 FROM inbound_mail
 WHERE state = 'new'
   OR folder = 'tray'";

/// How many mails wait to be read, and how many lie in the tray.
///
/// # Errors
/// [`super::StoreError`].
pub async fn waiting(session: &mut Session) -> Result<(i64, i64)> {
    Ok(session.one(session.sql(WAITING)).await?.unwrap_or_default())
}

const HANDLE: &str = "UPDATE inbound_mail
 SET handled_at = $2, handled_by = $3
 WHERE id = $1
   AND handled_at IS NULL";

/// Puts a mail of the tray aside; says whether it lay there.
///
/// # Errors
/// [`super::StoreError`].
pub async fn handle(session: &mut Session, id: &str, by: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(HANDLE).bind(id.to_owned()).bind(now).bind(by.to_owned())).await? > 0)
}

macro_rules! of_person {
    () => {
        "(contact_person_id = $1 OR observation_id IN (SELECT o.id FROM observation o WHERE o.contact_person_id = $1))"
    };
}

const ERASE_PARTS: &str = concat!(
    "DELETE FROM inbound_mail_part
 WHERE mail_id IN (SELECT m.id FROM inbound_mail m WHERE ",
    of_person!(),
    ")"
);

const ERASE: &str = concat!(
    "UPDATE inbound_mail
 SET sender = '', subject = '', diagnostic = '', recipient = ''
 WHERE ",
    of_person!()
);

/// Removes the mails of a person and about one; that they came stays. The text of what the person told is a document of its own, the
/// observation's, which is kept under a pseudonym.
///
/// # Errors
/// [`super::StoreError`].
pub async fn erase(session: &mut Session, contact_person_id: &str) -> Result<()> {
    session.execute(session.sql(ERASE_PARTS).bind(contact_person_id.to_owned())).await?;
    session.execute(session.sql(ERASE).bind(contact_person_id.to_owned())).await.map(drop)
}
