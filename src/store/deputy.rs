//! Owns who stands in for whom, and the deliveries that went to deputies.
//!
//! It does not decide when a deputy is used; `actions::deputy` and `actions::deputy_takeover` do. Invariants: a delivery to a
//! deputy covers no person, so that audience and reach count each person once; each person has one deputy's delivery of an alert.

use serde::{Deserialize, Serialize};

use super::{Result, Session, json};

/// The deputy of a person.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Deputy {
    /// Who stands in.
    pub contact_person_id: String,
    /// Name.
    pub name: String,
    /// Who wrote it down, an actor's id.
    pub set_by: String,
    /// When, Unix ms.
    pub set_at: i64,
}

const SET: &str = "UPDATE contact_person
 SET deputy_id = $2, deputy_set_by = $3, deputy_set_at = $4
 WHERE id = $1";

/// Writes down who stands in for a person; `None` = nobody.
///
/// # Errors
/// [`super::StoreError`].
pub async fn set(
    session: &mut Session,
    contact_person_id: &str,
    deputy_id: Option<&str>,
    (by, now): (&str, i64),
) -> Result<()> {
    let statement = session
        .sql(SET)
        .bind(contact_person_id.to_owned())
        .bind(deputy_id.map(str::to_owned))
        .bind(by.to_owned())
        .bind(now);
    session.execute(statement).await.map(drop)
}

const OF: &str = "SELECT d.id AS contact_person_id, d.name, p.deputy_set_by AS set_by, p.deputy_set_at AS set_at
 FROM contact_person p
 JOIN contact_person d ON d.id = p.deputy_id
 WHERE p.id = $1
   AND d.erased_at IS NULL";

/// Who stands in for a person.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of(session: &mut Session, contact_person_id: &str) -> Result<Option<Deputy>> {
    session.one(session.sql(OF).bind(contact_person_id.to_owned())).await
}

const STANDS_FOR: &str = "SELECT p.id, p.name
 FROM contact_person p
 WHERE p.deputy_id = $1
   AND p.erased_at IS NULL
 ORDER BY p.name, p.id";

/// Ids and names of those a person stands in for, whoever may see them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn stands_for(session: &mut Session, deputy_id: &str) -> Result<Vec<(String, String)>> {
    session.list(session.sql(STANDS_FOR).bind(deputy_id.to_owned())).await
}

/// Somebody away or silent, and the deputy who can be reached.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Absence {
    /// Who is away or silent.
    pub stands_for: String,
    /// Of which area.
    pub area_code: String,
    /// The deputy.
    pub contact_person_id: String,
    /// The deputy's number.
    pub mobile: String,
}

/// A deputy `d` who gets alerts at a time.
macro_rules! deputy_reached {
    ($now:literal) => {
        concat!(
            "d.erased_at IS NULL
   AND d.mobile IS NOT NULL
   AND d.alerts = 1
   AND d.alerts_opt_out_at IS NULL
   AND (d.paused_until_at IS NULL OR d.paused_until_at <= ",
            $now,
            ")"
        )
    };
}

/// Whether a person `p` is known to be silent: the number is marked as doubtful, or the last two alerts did not arrive at it.
/// What nobody knows about breaks the row.
macro_rules! is_silent {
    () => {
        "(p.mobile_doubtful = p.mobile OR 2 = (
     SELECT COUNT(*)
     FROM (SELECT o.state, o.reason
       FROM message_recipient q
       JOIN delivery o ON o.id = q.delivery_id
       JOIN message m ON m.id = q.message_id
       WHERE q.contact_person_id = p.id
         AND o.channel = 'sms'
         AND o.address = p.mobile
         AND m.kind = 'alert'
         AND o.state IN ('delivered', 'undelivered', 'failed', 'unconfirmed')
       ORDER BY o.final_at DESC, o.id DESC
       LIMIT 2) l
     WHERE l.state = 'undelivered'
       OR (l.state = 'failed' AND COALESCE(l.reason, '') <> 'in_doubt.given_up')))"
    };
}

/// Whether a person with the number of deputy `d` is covered by a delivery of message `$1` to that number. It is asked before
/// [`taken`], which reads every delivery: in most cases it is the answer.
macro_rules! deputy_is_in_it {
    () => {
        "EXISTS (
     SELECT 1
     FROM contact_person o
     JOIN message_recipient q ON q.contact_person_id = o.id AND q.message_id = $1
     JOIN delivery e ON e.id = q.delivery_id
     WHERE o.mobile = d.mobile
       AND e.channel = 'sms'
       AND e.address = d.mobile)"
    };
}

const ABSENCES: &str = concat!(
    "SELECT r.contact_person_id AS stands_for, r.area_code, d.id AS contact_person_id, d.mobile
 FROM message_recipient r
 CROSS JOIN contact_person p
 JOIN contact_person d ON d.id = p.deputy_id
 WHERE r.message_id = $1
   AND r.contact_person_id = p.id
   AND p.deputy_id IS NOT NULL
   AND r.channel = 'sms'
   AND (r.not_reached = 'paused' OR (r.delivery_id IS NOT NULL AND ",
    is_silent!(),
    "))
   AND ",
    deputy_reached!("$2"),
    "
   AND NOT ",
    deputy_is_in_it!(),
    "
 ORDER BY r.contact_person_id"
);

/// Those of an alert's frozen audience who are paused, or known to be silent, and whose deputy can be reached and is not in it;
/// [`taken`] says whose number is in it by another's name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn absences(session: &mut Session, message_id: &str, now: i64) -> Result<Vec<Absence>> {
    session.list(session.sql(ABSENCES).bind(message_id.to_owned()).bind(now)).await
}

/// Those `p` with a deputy `d` whom an alert to areas `$1` would have at `$2` if they were not paused, or not known to be silent, and
/// whose deputy can be reached. Few have a deputy: the join begins with them, and no index of areas leads to everybody instead.
macro_rules! away {
    () => {
        concat!(
            " FROM contact_person p
 CROSS JOIN contact_person d
 WHERE p.deputy_id IS NOT NULL
   AND d.id = p.deputy_id
   AND p.erased_at IS NULL
   AND COALESCE(p.area_code, '') IN (SELECT v.code FROM {rows $1: code TEXT})
   AND p.mobile IS NOT NULL
   AND p.alerts = 1
   AND p.alerts_opt_out_at IS NULL
   AND (p.paused_until_at > $2 OR ",
            is_silent!(),
            ")
   AND ",
            deputy_reached!("$2")
        )
    };
}

const AWAY: &str = concat!(
    "SELECT p.id AS stands_for, p.area_code, d.id AS contact_person_id, d.mobile\n",
    away!(),
    "\n ORDER BY p.id"
);

/// Those of these areas (JSON rows, with all below them) who are paused, or known to be silent, and whose deputy can be reached at
/// `now`: for an audience that is not written out. Whose deputy is in it is for the caller to find.
///
/// # Errors
/// [`super::StoreError`].
pub async fn away(session: &mut Session, areas_json: &str, now: i64) -> Result<Vec<Absence>> {
    session.list(session.sql(AWAY).bind(areas_json.to_owned()).bind(now)).await
}

const OVERDUE: &str = concat!(
    "SELECT r.contact_person_id AS stands_for, r.area_code, d.id AS contact_person_id, d.mobile
 FROM contact_person p
 CROSS JOIN message_recipient r
 JOIN contact_person d ON d.id = p.deputy_id
 JOIN delivery o ON o.id = r.delivery_id
 WHERE r.message_id = $1
   AND r.contact_person_id = p.id
   AND p.deputy_id IS NOT NULL
   AND p.erased_at IS NULL
   AND p.alerts = 1
   AND p.alerts_opt_out_at IS NULL
   AND r.channel = 'sms'
   AND o.state IN ('accepted', 'in_doubt', 'delivered', 'undelivered', 'failed', 'unconfirmed')
   AND COALESCE(o.accepted_at, o.stamped_at, o.final_at) <= $3
   AND ",
    deputy_reached!("$2"),
    "
   AND NOT EXISTS (
     SELECT 1
     FROM message_recipient q
     JOIN spread_confirmation s ON s.message_id = $1 AND s.contact_person_id = q.contact_person_id
     WHERE q.delivery_id = r.delivery_id)
   AND NOT EXISTS (SELECT 1 FROM stand_in t WHERE t.message_id = $1 AND t.stands_for = p.id)
   AND NOT ",
    deputy_is_in_it!(),
    "
 ORDER BY r.contact_person_id"
);

/// Those whom an alert went to at or before `until`, who have not said that they passed it on (nor has anybody with their
/// phone), for whom no deputy has it, and whose deputy can be reached at `now` and is not in it; Unix ms. [`taken`] says whose
/// number has it by another's name.
///
/// # Errors
/// [`super::StoreError`].
pub async fn overdue(session: &mut Session, message_id: &str, (now, until): (i64, i64)) -> Result<Vec<Absence>> {
    session.list(session.sql(OVERDUE).bind(message_id.to_owned()).bind(now).bind(until)).await
}

#[derive(Serialize)]
struct MobileRow<'a> {
    mobile: &'a str,
}

const TAKEN: &str = "SELECT e.address
 FROM delivery e
 WHERE e.message_id = $1
   AND e.channel = 'sms'
   AND e.address IN (SELECT v.mobile FROM {rows $2: mobile TEXT})
 UNION
 SELECT e.address
 FROM stand_in t
 JOIN delivery e ON e.id = t.delivery_id
 WHERE t.message_id = $1";

/// The numbers that have an alert, or will: those of these that are in it, and all that it went to in place of others.
///
/// # Errors
/// [`super::StoreError`].
pub async fn taken<'a>(
    session: &mut Session,
    message_id: &str,
    numbers: impl Iterator<Item = &'a str>,
) -> Result<Vec<String>> {
    let numbers: Vec<_> = numbers.map(|mobile| MobileRow { mobile }).collect();
    let statement = session.sql(TAKEN).bind(message_id.to_owned()).bind(json(&numbers));
    let rows: Vec<(String,)> = session.list(statement).await?;
    Ok(rows.into_iter().map(|(number,)| number).collect())
}

const COUNT: &str = concat!(
    "SELECT CAST(COUNT(DISTINCT CASE WHEN p.paused_until_at > $2 THEN d.mobile END) AS BIGINT) AS instead,
   CAST(COUNT(DISTINCT d.mobile) AS BIGINT) AS whole\n",
    away!(),
    "
   AND NOT EXISTS (
     SELECT 1
     FROM contact_person o
     WHERE o.mobile = d.mobile
       AND o.erased_at IS NULL
       AND o.alerts = 1
       AND o.alerts_opt_out_at IS NULL
       AND (o.paused_until_at IS NULL OR o.paused_until_at <= $2)
       AND o.area_code IN (SELECT v.code FROM {rows $1: code TEXT}))"
);

/// Deputies whom an alert would go to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeputyCount {
    /// In place of those who are paused.
    pub instead: i64,
    /// Beside those whom no alert reaches lately.
    pub also: i64,
}

/// How many deputies an alert to these areas (JSON rows, with all below them) would go to at `now`.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, areas_json: &str, now: i64) -> Result<DeputyCount> {
    let statement = session.sql(COUNT).bind(areas_json.to_owned()).bind(now);
    let row: Option<(i64, i64)> = session.one(statement).await?;
    let (instead, whole) = row.unwrap_or_default();
    Ok(DeputyCount { instead, also: whole - instead })
}

/// A delivery to a deputy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct StandIn {
    /// Who is away or silent.
    pub stands_for: String,
    /// The deputy.
    pub contact_person_id: String,
    /// The delivery: one of the alert, or of the message by which deputies took over.
    pub delivery_id: i64,
}

const ADD: &str = "INSERT INTO stand_in (message_id, stands_for, contact_person_id, delivery_id, created_at)
 SELECT $2, v.stands_for, v.contact_person_id, v.delivery_id, $3
 FROM {rows $1: stands_for TEXT, contact_person_id TEXT, delivery_id BIGINT}";

/// Writes down which deliveries brought a message to deputies.
///
/// # Errors
/// [`super::StoreError`].
pub async fn add(session: &mut Session, message_id: &str, rows: &[StandIn], now: i64) -> Result<()> {
    let statement = session.sql(ADD).bind(json(&rows)).bind(message_id.to_owned()).bind(now);
    session.execute(statement).await.map(drop)
}

const CLEAR: &str = "DELETE FROM stand_in
 WHERE message_id = $1";

/// Forgets the deputies of a message that is frozen anew.
///
/// # Errors
/// [`super::StoreError`].
pub async fn clear(session: &mut Session, message_id: &str) -> Result<()> {
    session.execute(session.sql(CLEAR).bind(message_id.to_owned())).await.map(drop)
}

const OF_MESSAGE: &str = "SELECT stands_for, contact_person_id, delivery_id
 FROM stand_in
 WHERE message_id = $1
 ORDER BY delivery_id, stands_for";

/// The deliveries that brought a message to deputies.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_message(session: &mut Session, message_id: &str) -> Result<Vec<StandIn>> {
    session.list(session.sql(OF_MESSAGE).bind(message_id.to_owned())).await
}

const OF_DELIVERY: &str = "SELECT stands_for
 FROM stand_in
 WHERE delivery_id = $1
 ORDER BY stands_for";

/// For whom a delivery went to a deputy.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_delivery(session: &mut Session, delivery_id: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(OF_DELIVERY).bind(delivery_id)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

const TAKEOVERS: &str = "SELECT m.id, m.created_at AS at, CAST(COUNT(*) AS BIGINT) AS persons,
   CAST(COUNT(DISTINCT d.id) AS BIGINT) AS deliveries
 FROM stand_in s
 JOIN delivery d ON d.id = s.delivery_id
 JOIN message m ON m.id = d.message_id
 WHERE s.message_id = $1
   AND m.id <> $1
 GROUP BY m.id, m.created_at
 ORDER BY m.id";

/// A message by which deputies took an alert over.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Takeover {
    /// The message.
    pub id: String,
    /// When it was made, Unix ms.
    pub at: i64,
    /// For how many persons.
    pub persons: i64,
    /// To how many numbers.
    pub deliveries: i64,
}

/// The messages by which deputies took an alert over, in order.
///
/// # Errors
/// [`super::StoreError`].
pub async fn takeovers(session: &mut Session, alert_id: &str) -> Result<Vec<Takeover>> {
    session.list(session.sql(TAKEOVERS).bind(alert_id.to_owned())).await
}

const UNDER_WAY: &str = "SELECT m.id
 FROM message m
 JOIN alert a ON a.message_id = m.id
 WHERE m.kind = 'alert'
   AND m.state IN ('handed_over', 'done')
   AND m.follows IS NULL
   AND m.stopped_at IS NULL
   AND m.sends_at <= $2
   AND m.expires_at > $1
   AND a.spread = 'households'
   AND NOT EXISTS (
     SELECT 1
     FROM message f
     WHERE f.follows = m.id
       AND f.follow_up_kind IN ('all_clear', 'correction'))
 ORDER BY m.id";

/// Alerts to be passed on that are handed over, valid at `now` and neither ended nor corrected, and began to go at or before
/// `until`; Unix ms.
///
/// # Errors
/// [`super::StoreError`].
pub async fn under_way(session: &mut Session, (now, until): (i64, i64)) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = session.list(session.sql(UNDER_WAY).bind(now).bind(until)).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

const OF_PERSON: &str = "SELECT s.message_id, s.created_at
 FROM stand_in s
 WHERE s.contact_person_id = $1
   OR s.stands_for = $1
 ORDER BY s.created_at, s.message_id";

/// The messages in which a person stood in for somebody, or somebody for them, with when (Unix ms).
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_person(session: &mut Session, contact_person_id: &str) -> Result<Vec<(String, i64)>> {
    session.list(session.sql(OF_PERSON).bind(contact_person_id.to_owned())).await
}

const EMPTY_ADDRESSES: &str = "UPDATE delivery
 SET address = 'erased-' || CAST(id AS TEXT), detail = NULL
 WHERE id IN (SELECT s.delivery_id FROM stand_in s WHERE s.contact_person_id = $1)";

const RELEASE: &str = "UPDATE contact_person
 SET deputy_id = NULL, deputy_set_by = NULL, deputy_set_at = NULL
 WHERE deputy_id = $1
   OR id = $1";

const HAND_OVER: [&str; 2] = [
    "UPDATE contact_person
 SET deputy_id = $2
 WHERE deputy_id = $1
   AND id <> $2",
    "UPDATE contact_person
 SET deputy_id = (SELECT g.deputy_id FROM contact_person g WHERE g.id = $1),
   deputy_set_by = (SELECT g.deputy_set_by FROM contact_person g WHERE g.id = $1),
   deputy_set_at = (SELECT g.deputy_set_at FROM contact_person g WHERE g.id = $1)
 WHERE id = $2
   AND deputy_id IS NULL
   AND EXISTS (SELECT 1 FROM contact_person g WHERE g.id = $1 AND g.deputy_id <> $2)",
];

/// Gives what a record that goes (`from`) has of deputies to the one that stays: it stands in for the same people, and has the same deputy
/// when it has none of its own.
///
/// # Errors
/// [`super::StoreError`].
pub async fn hand_over(session: &mut Session, from: &str, to: &str) -> Result<()> {
    for statement in HAND_OVER {
        session.execute(session.sql(statement).bind(from.to_owned()).bind(to.to_owned())).await?;
    }
    Ok(())
}

const EMPTY_ATTEMPTS: &str = "UPDATE attempt
 SET detail = NULL
 WHERE delivery_id IN (SELECT s.delivery_id FROM stand_in s WHERE s.contact_person_id = $1)";

/// Takes a person's number out of what they got as a deputy, and ends that they stand in for anybody, or anybody for them.
///
/// # Errors
/// [`super::StoreError`].
pub async fn erase(session: &mut Session, contact_person_id: &str) -> Result<()> {
    for statement in [EMPTY_ATTEMPTS, EMPTY_ADDRESSES, RELEASE] {
        session.execute(session.sql(statement).bind(contact_person_id.to_owned())).await?;
    }
    Ok(())
}
