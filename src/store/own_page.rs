//! Owns what the own page of a contact person stands on: links, sessions, and the alerts and letters that are shown there.
//!
//! It does not decide how long a link or a session lasts; `actions::own_page` does. Invariant: tokens lie here as digests.

use super::{Result, Session};

/// A link as stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnPageLink {
    /// SHA-256 of the token, hex.
    pub token_hash: String,
    /// Whose page it opens.
    pub contact_person_id: String,
    /// The mail that carries it.
    pub delivery_id: i64,
    /// Who asked for it, an actor's id.
    pub asked_by: String,
    /// Unix ms.
    pub created_at: i64,
    /// When it stops working, Unix ms.
    pub expires_at: i64,
    /// When it was used, Unix ms.
    pub used_at: Option<i64>,
}

const INSERT_LINK: &str =
    "INSERT INTO own_page_link (token_hash, contact_person_id, delivery_id, asked_by, created_at, expires_at)
 VALUES ($1, $2, $3, $4, $5, $6)";

/// Adds a link that nobody has used.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert_link(session: &mut Session, link: &OwnPageLink) -> Result<()> {
    let l = link.clone();
    let statement = session
        .sql(INSERT_LINK)
        .bind(l.token_hash)
        .bind(l.contact_person_id)
        .bind(l.delivery_id)
        .bind(l.asked_by)
        .bind(l.created_at)
        .bind(l.expires_at);
    session.execute(statement).await.map(drop)
}

const LINK: &str = "SELECT token_hash, contact_person_id, delivery_id, asked_by, created_at, expires_at, used_at
 FROM own_page_link
 WHERE token_hash = $1";

/// The link with this token's digest, also one that does not work any more.
///
/// # Errors
/// [`super::StoreError`].
pub async fn link(session: &mut Session, token_hash: &str) -> Result<Option<OwnPageLink>> {
    session.one(session.sql(LINK).bind(token_hash.to_owned())).await
}

const USE_LINK: &str = "UPDATE own_page_link
 SET used_at = $2
 WHERE token_hash = $1
   AND used_at IS NULL
   AND expires_at > $2";

/// Uses a link up; `false` when it was used or is too old.
///
/// # Errors
/// [`super::StoreError`].
pub async fn use_link(session: &mut Session, token_hash: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(USE_LINK).bind(token_hash.to_owned()).bind(now)).await? == 1)
}

const SENT_TO: &str = "SELECT address
 FROM delivery
 WHERE id = $1";

/// Where the mail with a link went; nothing when there is no such mail.
///
/// # Errors
/// [`super::StoreError`].
pub async fn sent_to(session: &mut Session, link: &OwnPageLink) -> Result<Option<String>> {
    let row: Option<(String,)> = session.one(session.sql(SENT_TO).bind(link.delivery_id)).await?;
    Ok(row.map(|(address,)| address))
}

const LINKS: &str = "SELECT token_hash, contact_person_id, delivery_id, asked_by, created_at, expires_at, used_at
 FROM own_page_link
 WHERE contact_person_id = $1
   AND created_at >= $2
 ORDER BY created_at, token_hash";

/// The links made for a person since a time (Unix ms), oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn links(session: &mut Session, contact_person_id: &str, since: i64) -> Result<Vec<OwnPageLink>> {
    session.list(session.sql(LINKS).bind(contact_person_id.to_owned()).bind(since)).await
}

/// A browser that a contact person comes from.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnPageSession {
    /// UUIDv7.
    pub id: String,
    /// SHA-256 of the cookie's token, hex.
    pub token_hash: String,
    /// Who.
    pub contact_person_id: String,
    /// When it began, Unix ms.
    pub created_at: i64,
    /// When it was last used, Unix ms, to the hour.
    pub seen_at: i64,
    /// When it ends, Unix ms.
    pub expires_at: i64,
    /// The e-mail address that let it in, folded.
    pub email_key: String,
}

const INSERT: &str =
    "INSERT INTO own_page_session (id, token_hash, contact_person_id, created_at, seen_at, expires_at, email_key)
 VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// Adds a session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn insert(session: &mut Session, new: &OwnPageSession) -> Result<()> {
    let s = new.clone();
    let statement = session
        .sql(INSERT)
        .bind(s.id)
        .bind(s.token_hash)
        .bind(s.contact_person_id)
        .bind(s.created_at)
        .bind(s.seen_at)
        .bind(s.expires_at)
        .bind(s.email_key);
    session.execute(statement).await.map(drop)
}

const BY_TOKEN: &str = "SELECT id, token_hash, contact_person_id, created_at, seen_at, expires_at, email_key
 FROM own_page_session
 WHERE token_hash = $1";

/// The session with this token's digest, also one whose time has run out.
///
/// # Errors
/// [`super::StoreError`].
pub async fn by_token(session: &mut Session, token_hash: &str) -> Result<Option<OwnPageSession>> {
    session.one(session.sql(BY_TOKEN).bind(token_hash.to_owned())).await
}

const OF_PERSON: &str = "SELECT id, token_hash, contact_person_id, created_at, seen_at, expires_at, email_key
 FROM own_page_session
 WHERE contact_person_id = $1
 ORDER BY created_at, id";

/// A person's sessions, oldest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<OwnPageSession>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const TOUCH: &str = "UPDATE own_page_session
 SET seen_at = $2
 WHERE id = $1
   AND seen_at < $2";

/// Notes that a session was used; `false` when another had noted it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn touch(session: &mut Session, id: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(TOUCH).bind(id.to_owned()).bind(now)).await? == 1)
}

const END: &str = "DELETE FROM own_page_session
 WHERE id = $1";

/// Ends a session.
///
/// # Errors
/// [`super::StoreError`].
pub async fn end(session: &mut Session, id: &str) -> Result<()> {
    session.execute(session.sql(END).bind(id.to_owned())).await.map(drop)
}

const FORGET: &str = "DELETE FROM own_page_session
 WHERE expires_at < $1";

/// Removes sessions whose time ran out before `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget(session: &mut Session, now: i64) -> Result<u64> {
    session.execute(session.sql(FORGET).bind(now)).await
}

const EMPTY_OLD_MAILS: &str = "UPDATE delivery
 SET address = 'disposed-' || CAST(id AS TEXT), detail = NULL
 WHERE id IN (SELECT l.delivery_id FROM own_page_link l WHERE l.expires_at < $1)
   AND state NOT IN ('queued', 'sending', 'accepted', 'in_doubt')";

const EMPTY_OLD_ATTEMPTS: &str = "UPDATE attempt
 SET detail = NULL
 WHERE delivery_id IN (SELECT l.delivery_id FROM own_page_link l WHERE l.expires_at < $1)";

const FORGET_LINKS: &str = "DELETE FROM own_page_link
 WHERE expires_at < $1
   AND NOT EXISTS (SELECT 1 FROM delivery d
     WHERE d.id = own_page_link.delivery_id AND d.state IN ('queued', 'sending', 'accepted', 'in_doubt'))";

/// Removes links that ran out before `before` (Unix ms) and whose mail is over, and the addresses those went to.
///
/// # Errors
/// [`super::StoreError`].
pub async fn forget_links(session: &mut Session, before: i64) -> Result<()> {
    for statement in [EMPTY_OLD_MAILS, EMPTY_OLD_ATTEMPTS, FORGET_LINKS] {
        session.execute(session.sql(statement).bind(before)).await?;
    }
    Ok(())
}

const EMPTY_MAILS: &str = "UPDATE delivery
 SET address = 'erased-' || CAST(id AS TEXT), detail = NULL
 WHERE id IN (SELECT l.delivery_id FROM own_page_link l WHERE l.contact_person_id = $1)";

const EMPTY_ATTEMPTS: &str = "UPDATE attempt
 SET detail = NULL
 WHERE delivery_id IN (SELECT l.delivery_id FROM own_page_link l WHERE l.contact_person_id = $1)";

const ERASE_LINKS: &str = "DELETE FROM own_page_link
 WHERE contact_person_id = $1";

const ERASE_SESSIONS: &str = "DELETE FROM own_page_session
 WHERE contact_person_id = $1";

/// Ends all that lets a person in, and takes their address out of the mails that carried links.
///
/// # Errors
/// [`super::StoreError`].
pub async fn erase(session: &mut Session, contact_person_id: &str) -> Result<()> {
    for statement in [EMPTY_MAILS, EMPTY_ATTEMPTS, ERASE_LINKS, ERASE_SESSIONS] {
        session.execute(session.sql(statement).bind(contact_person_id.to_owned())).await?;
    }
    Ok(())
}

/// An alert of a person's area, as it stands for that person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnAlert {
    /// The message.
    pub id: String,
    /// What was typed.
    pub text: String,
    /// `observation` or `information`.
    pub kind: String,
    /// `households` or `contact_person_only`.
    pub spread: String,
    /// 1 for a drill.
    pub drill: i64,
    /// `all_clear`, `correction` or `update`, for what follows another.
    pub follow_up_kind: Option<String>,
    /// The alert it follows.
    pub follows: Option<String>,
    /// `stopped` or another state of what has begun to go out.
    pub state: String,
    /// When it went out, Unix ms.
    pub sends_at: i64,
    /// Until when it holds, Unix ms.
    pub expires_at: i64,
    /// 1 when an all-clear or a correction has ended it.
    pub is_ended: i64,
    /// Households the person says it has reached.
    pub spread_households: Option<i64>,
}

const ALERTS: &str = "SELECT m.id, a.text, a.kind, a.spread, a.drill, m.follow_up_kind, m.follows, m.state,
   m.sends_at, m.expires_at,
   CASE WHEN EXISTS (
     SELECT 1
     FROM message f
     WHERE f.follows = m.id
       AND f.follow_up_kind IN ('all_clear', 'correction')
       AND f.sends_at <= $3) THEN 1 ELSE 0 END AS is_ended,
   (SELECT s.households
     FROM spread_confirmation s
     WHERE s.message_id = COALESCE(m.follows, m.id)
       AND s.contact_person_id = $2) AS spread_households
 FROM message m
 JOIN alert a ON a.message_id = m.id
 WHERE m.kind = 'alert'
   AND (EXISTS (
       SELECT 1
       FROM message_area r
       WHERE r.message_id IN (m.id, m.follows)
         AND r.area_code = $1)
     OR EXISTS (
       SELECT 1
       FROM message_recipient q
       WHERE q.message_id = m.id
         AND q.contact_person_id = $2)
     OR EXISTS (
       SELECT 1
       FROM stand_in t
       WHERE t.message_id = m.id
         AND t.contact_person_id = $2))
   AND m.sends_at <= $3
   AND m.sends_at >= $4
   AND m.expires_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM freezing f WHERE f.message_id = m.id AND f.stage = 'writing')
   AND (m.state IN ('queued', 'sending', 'handed_over', 'done')
     OR (m.state = 'stopped' AND EXISTS (
       SELECT 1
       FROM message_recipient p
       JOIN delivery d ON d.id = p.delivery_id
       WHERE p.message_id = m.id
         AND p.contact_person_id = $2
         AND d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')))
     OR (m.state = 'stopped' AND EXISTS (
       SELECT 1
       FROM stand_in t
       JOIN delivery d ON d.id = t.delivery_id
       WHERE t.message_id = m.id
         AND t.contact_person_id = $2
         AND d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed'))))
 ORDER BY m.id DESC
 LIMIT $5";

/// The alerts of a person's area that went out between `since` and `now` (Unix ms), newest first. One that was stopped is there
/// only when their phone may have it.
///
/// # Errors
/// [`super::StoreError`].
pub async fn alerts(
    session: &mut Session,
    (contact_person_id, area_code): (&str, &str),
    (now, since): (i64, i64),
    limit: i64,
) -> Result<Vec<OwnAlert>> {
    let statement = session
        .sql(ALERTS)
        .bind(area_code.to_owned())
        .bind(contact_person_id.to_owned())
        .bind(now)
        .bind(since)
        .bind(limit);
    session.list(statement).await
}

/// A letter that a person got.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OwnLetter {
    /// The message.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// `email` or `paper`.
    pub channel: String,
    /// When it went out, Unix ms.
    pub sends_at: i64,
}

const LETTERS: &str = "SELECT m.id, l.subject, r.channel, m.sends_at
 FROM message_recipient r
 JOIN message m ON m.id = r.message_id
 JOIN letter l ON l.message_id = m.id
 JOIN delivery d ON d.id = r.delivery_id
 WHERE r.contact_person_id = $1
   AND m.kind = 'letter'
   AND m.sends_at IS NOT NULL
   AND d.state IN ('accepted', 'in_doubt', 'delivered', 'unconfirmed')
 ORDER BY m.id DESC
 LIMIT $2";

/// The letters that a person got or may have got, newest first.
///
/// # Errors
/// [`super::StoreError`].
pub async fn letters(session: &mut Session, contact_person_id: &str, limit: i64) -> Result<Vec<OwnLetter>> {
    session.list(session.sql(LETTERS).bind(contact_person_id.to_owned()).bind(limit)).await
}
