//! Owns how well each way to a person works: what did not arrive, added up, and which addresses letters do not reach.
//!
//! It does not decide when an address is unusable. Invariants: what was wrong with us is counted and marks nobody; nobody is
//! removed: a mark holds for one address, and another address of the same person is usable.

use serde::Serialize;

use super::{Result, Session, json};

const COUNT_BACK: &str = "SELECT CAST(COUNT(DISTINCT m.delivery_id) AS BIGINT) AS letters
 FROM contact_person p
 JOIN message_recipient r ON r.contact_person_id = p.id
 JOIN delivery o ON o.id = r.delivery_id
 JOIN inbound_mail m ON m.delivery_id = o.id
 WHERE p.email_key = $1
   AND (o.address = p.email OR LOWER(o.address) = $1)
   AND m.kind = 'failed'
   AND m.token_state = 'proven'
   AND m.verdict = $2
   AND m.received_at >= $3
   AND m.received_at > COALESCE(p.email_usable_at, 0)";

/// How many letters to an address (in lower case) have come back with a verdict since a time, Unix ms, and since somebody said
/// that the address works again.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_back(session: &mut Session, address: &str, verdict: &'static str, since: i64) -> Result<i64> {
    let statement = session.sql(COUNT_BACK).bind(address.to_owned()).bind(verdict).bind(since);
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.unwrap_or_default().0)
}

const MARK: &str = "UPDATE contact_person
 SET email_unusable = email, email_unusable_at = $2, email_unusable_reason = $3
 WHERE email_key = $1
   AND erased_at IS NULL
   AND (email_unusable IS NULL OR email_unusable <> email)
 RETURNING id";

/// Marks an address (in lower case) as one that letters do not reach, for everybody who has it; says whom that changed.
///
/// # Errors
/// [`super::StoreError`].
pub async fn mark(session: &mut Session, address: &str, reason: &'static str, now: i64) -> Result<Vec<String>> {
    let marked: Vec<(String,)> =
        session.list(session.sql(MARK).bind(address.to_owned()).bind(now).bind(reason)).await?;
    Ok(marked.into_iter().map(|(id,)| id).collect())
}

const CLEAR: &str = "UPDATE contact_person
 SET email_unusable = NULL, email_unusable_at = NULL, email_unusable_reason = NULL, email_usable_at = $2
 WHERE id = $1
   AND email_unusable IS NOT NULL";

/// Takes the mark away from a person's address; says whether there was one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn clear(session: &mut Session, contact_person_id: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(CLEAR).bind(contact_person_id.to_owned()).bind(now)).await? > 0)
}

/// A person whom a delivery covers.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Covered {
    /// The delivery.
    pub delivery_id: i64,
    /// The person.
    pub contact_person_id: String,
}

const UNDELIVERED: &str = "SELECT d.id AS delivery_id, r.contact_person_id
 FROM (SELECT l.id
   FROM delivery l
   WHERE l.message_id = $1
     AND l.id > $2
     AND l.channel = 'sms'
     AND l.state IN ('undelivered', 'failed')
   ORDER BY l.id
   LIMIT $3) d
 JOIN message_recipient r ON r.delivery_id = d.id
 ORDER BY d.id, r.contact_person_id";

/// Whom a message's next `limit` SMS that are known not to have arrived cover, after a delivery, in the order of deliveries.
///
/// # Errors
/// [`super::StoreError`].
pub async fn undelivered(session: &mut Session, message_id: &str, (after, limit): (i64, i64)) -> Result<Vec<Covered>> {
    session.list(session.sql(UNDELIVERED).bind(message_id.to_owned()).bind(after).bind(limit)).await
}

#[derive(Serialize)]
struct PersonRow<'a> {
    id: &'a str,
}

fn person_rows(persons: &[Covered]) -> String {
    json(&persons.iter().map(|person| PersonRow { id: &person.contact_person_id }).collect::<Vec<_>>())
}

/// The persons of `$1` with a number that the message `$2` did not arrive at and that they still have. Each is looked up by key: with
/// a list of everybody the message went to, that list is read once for each person there is.
macro_rules! doubtable {
    () => {
        " WHERE contact_person.id IN (SELECT v.id FROM {rows $1: id TEXT})
   AND erased_at IS NULL
   AND (mobile_doubtful IS NULL OR mobile_doubtful <> mobile)
   AND EXISTS (SELECT 1
     FROM message_recipient r
     JOIN delivery d ON d.id = r.delivery_id
     WHERE r.message_id = $2
       AND r.contact_person_id = contact_person.id
       AND d.channel = 'sms'
       AND d.state IN ('undelivered', 'failed')
       AND d.address = contact_person.mobile)"
    };
}

const DOUBT: &str = concat!(
    "UPDATE contact_person
 SET mobile_doubtful = mobile, mobile_doubtful_at = $3
",
    doubtable!(),
    "
 RETURNING id"
);

/// Marks the numbers of these persons that a message is known not to have arrived at, and that they still have; says whose.
///
/// # Errors
/// [`super::StoreError`].
pub async fn doubt_mobiles(
    session: &mut Session,
    message_id: &str,
    persons: &[Covered],
    now: i64,
) -> Result<Vec<String>> {
    let statement = session.sql(DOUBT).bind(person_rows(persons)).bind(message_id.to_owned()).bind(now);
    let marked: Vec<(String,)> = session.list(statement).await?;
    Ok(marked.into_iter().map(|(id,)| id).collect())
}

const DOUBT_REPEATED: &str = concat!(
    "UPDATE contact_person
 SET mobile_doubtful = mobile, mobile_doubtful_at = $3
",
    doubtable!(),
    "
   AND (SELECT COUNT(*)
     FROM (SELECT l.state
       FROM message_recipient n
       JOIN delivery l ON l.id = n.delivery_id
       WHERE n.contact_person_id = contact_person.id
         AND l.channel = 'sms'
         AND l.address = contact_person.mobile
         AND l.state IN ('delivered', 'undelivered', 'failed')
         AND l.final_at > COALESCE(contact_person.mobile_doubtful_at, 0)
       ORDER BY l.id DESC
       LIMIT $4) q
     WHERE q.state <> 'delivered') >= $4
 RETURNING id"
);

/// Marks the numbers of these persons that a message did not arrive at, nor the SMS before it, `in_a_row` in all; says whose.
///
/// # Errors
/// [`super::StoreError`].
pub async fn doubt_repeated(
    session: &mut Session,
    message_id: &str,
    persons: &[Covered],
    (in_a_row, now): (i64, i64),
) -> Result<Vec<String>> {
    let statement = session.sql(DOUBT_REPEATED).bind(person_rows(persons)).bind(message_id.to_owned());
    let marked: Vec<(String,)> = session.list(statement.bind(now).bind(in_a_row)).await?;
    Ok(marked.into_iter().map(|(id,)| id).collect())
}

const TRUST_PROVEN: &str = "UPDATE contact_person
 SET mobile_doubtful = NULL, mobile_doubtful_at = NULL
 WHERE mobile_doubtful IS NOT NULL
   AND EXISTS (SELECT 1
     FROM message_recipient r
     JOIN delivery d ON d.id = r.delivery_id
     WHERE r.message_id = $1
       AND r.contact_person_id = contact_person.id
       AND d.channel = 'sms'
       AND d.state = 'delivered'
       AND d.final_at >= contact_person.mobile_doubtful_at
       AND d.address = contact_person.mobile_doubtful)";

/// Takes the mark from numbers that a message has arrived at since; says how many.
///
/// # Errors
/// [`super::StoreError`].
pub async fn trust_proven(session: &mut Session, message_id: &str) -> Result<u64> {
    session.execute(session.sql(TRUST_PROVEN).bind(message_id.to_owned())).await
}

const DOUBTABLE: &str = "SELECT CAST(COUNT(*) AS BIGINT) AS persons
 FROM message_recipient r
 JOIN delivery d ON d.id = r.delivery_id
 JOIN contact_person p ON p.id = r.contact_person_id
 WHERE r.message_id = $1
   AND d.channel = 'sms'
   AND d.state IN ('undelivered', 'failed')
   AND d.address = p.mobile
   AND p.erased_at IS NULL
   AND (p.mobile_doubtful IS NULL OR p.mobile_doubtful <> p.mobile)";

/// How many persons [`doubt_mobiles`] would mark.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count_doubtable(session: &mut Session, message_id: &str) -> Result<i64> {
    let row: Option<(i64,)> = session.one(session.sql(DOUBTABLE).bind(message_id.to_owned())).await?;
    Ok(row.unwrap_or_default().0)
}

const TRUST: &str = "UPDATE contact_person
 SET mobile_doubtful = NULL, mobile_doubtful_at = $2
 WHERE id = $1
   AND mobile_doubtful IS NOT NULL";

/// Takes the mark away from a person's number; what did not arrive before now (Unix ms) counts no more. Says whether there was one.
///
/// # Errors
/// [`super::StoreError`].
pub async fn trust_mobile(session: &mut Session, contact_person_id: &str, now: i64) -> Result<bool> {
    Ok(session.execute(session.sql(TRUST).bind(contact_person_id.to_owned()).bind(now)).await? > 0)
}

/// How one way to a person works.
#[derive(Debug, Clone, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct ChannelHealth {
    /// `sms` or `email`.
    pub channel: String,
    /// Deliveries that arrived.
    pub delivered: i64,
    /// Deliveries that did not, whatever the reason, those that came back late among them.
    pub undelivered: i64,
    /// Letters that came back since the address is not there.
    pub hard: i64,
    /// Letters that came back for a reason that passes.
    pub soft: i64,
    /// Letters that came back for a reason of ours.
    pub ours: i64,
    /// When something arrived last, Unix ms.
    pub delivered_at: Option<i64>,
    /// When something did not arrive last, Unix ms.
    pub undelivered_at: Option<i64>,
    /// Why it did not.
    pub reason: Option<String>,
}

macro_rules! came_back {
    ($verdict:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM inbound_mail m WHERE m.delivery_id = d.id AND m.kind = 'failed' AND m.token_state = 'proven'
     AND m.verdict = '",
            $verdict,
            "')"
        )
    };
}

const OF_PERSON: &str = concat!(
    "SELECT q.channel,
   CAST(SUM(CASE WHEN q.state = 'delivered' THEN 1 ELSE 0 END) AS BIGINT) AS delivered,
   CAST(SUM(q.is_back) AS BIGINT) AS undelivered,
   CAST(SUM(q.is_hard) AS BIGINT) AS hard,
   CAST(SUM(q.is_soft) AS BIGINT) AS soft,
   CAST(SUM(q.is_ours) AS BIGINT) AS ours,
   CAST(MAX(CASE WHEN q.state = 'delivered' THEN q.final_at END) AS BIGINT) AS delivered_at,
   CAST(MAX(CASE WHEN q.is_back = 1 THEN q.back_at END) AS BIGINT) AS undelivered_at,
   MAX(CASE WHEN q.is_back = 1 AND q.place = 1 THEN q.reason END) AS reason
 FROM (SELECT d.channel, d.state, d.final_at, d.is_back, d.is_hard, d.is_soft, d.is_ours, d.back_at, d.reason,
     ROW_NUMBER() OVER (PARTITION BY d.channel, d.is_back ORDER BY d.back_at DESC) AS place
   FROM (SELECT d.channel, d.state, d.final_at,
       CASE WHEN d.state IN ('undelivered', 'failed') OR b.verdict IS NOT NULL THEN 1 ELSE 0 END AS is_back,
       CASE WHEN ",
    came_back!("hard"),
    " THEN 1 ELSE 0 END AS is_hard,
       CASE WHEN ",
    came_back!("soft"),
    " THEN 1 ELSE 0 END AS is_soft,
       CASE WHEN ",
    came_back!("ours"),
    " THEN 1 ELSE 0 END AS is_ours,
       COALESCE(b.received_at, d.final_at) AS back_at,
       COALESCE('bounce.' || b.verdict, d.reason) AS reason
     FROM message_recipient r
     JOIN delivery d ON d.id = r.delivery_id
     LEFT JOIN inbound_mail b ON b.id = (SELECT MAX(m.id) FROM inbound_mail m
       WHERE m.delivery_id = d.id AND m.kind = 'failed' AND m.token_state = 'proven')
     WHERE r.contact_person_id = $1
       AND d.channel IN ('sms', 'email')) d) q
 GROUP BY q.channel
 ORDER BY q.channel"
);

/// How each way to a person works; ways that nothing went are missing.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<ChannelHealth>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const RECIPIENTS: &str = "SELECT contact_person_id
 FROM message_recipient
 WHERE delivery_id = $1
 ORDER BY contact_person_id";

/// Everybody whom a delivery covers.
///
/// # Errors
/// [`super::StoreError`].
pub async fn recipients(session: &mut Session, delivery_id: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(RECIPIENTS).bind(delivery_id)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}
