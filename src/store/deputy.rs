//! Owns who stands in for whom, and the deliveries that went to deputies.
//!
//! It does not decide when a deputy is used; `actions::deputy` does. Invariant: a delivery to a deputy covers no person, so
//! that audience and reach count each person once.

use serde::Serialize;

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

/// Somebody away, and the deputy who can be reached instead.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Absence {
    /// Who is away.
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

const ABSENCES: &str = concat!(
    "SELECT r.contact_person_id AS stands_for, r.area_code, d.id AS contact_person_id, d.mobile
 FROM message_recipient r
 JOIN contact_person p ON p.id = r.contact_person_id AND p.deputy_id IS NOT NULL
 JOIN contact_person d ON d.id = p.deputy_id
 WHERE r.message_id = $1
   AND r.channel = 'sms'
   AND r.not_reached = 'paused'
   AND ",
    deputy_reached!("$2"),
    "
   AND NOT EXISTS (SELECT 1 FROM delivery e WHERE e.message_id = $1 AND e.channel = 'sms' AND e.address = d.mobile)
 ORDER BY r.contact_person_id"
);

/// Those of an alert's frozen audience who are paused and whose deputy can be reached and is not in it, by anybody's number.
///
/// # Errors
/// [`super::StoreError`].
pub async fn absences(session: &mut Session, message_id: &str, now: i64) -> Result<Vec<Absence>> {
    session.list(session.sql(ABSENCES).bind(message_id.to_owned()).bind(now)).await
}

const COUNT: &str = concat!(
    "SELECT CAST(COUNT(DISTINCT d.mobile) AS BIGINT) AS deputies
 FROM contact_person p
 JOIN contact_person d ON d.id = p.deputy_id
 WHERE p.deputy_id IS NOT NULL
   AND p.erased_at IS NULL
   AND p.area_code IN (SELECT v.code FROM {rows $1: code TEXT})
   AND p.mobile IS NOT NULL
   AND p.alerts = 1
   AND p.alerts_opt_out_at IS NULL
   AND p.paused_until_at > $2
   AND ",
    deputy_reached!("$2"),
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

/// How many deputies an alert to these areas (JSON rows, with all below them) would go to at `now` in place of those who are
/// paused.
///
/// # Errors
/// [`super::StoreError`].
pub async fn count(session: &mut Session, areas_json: &str, now: i64) -> Result<i64> {
    let statement = session.sql(COUNT).bind(areas_json.to_owned()).bind(now);
    let row: Option<(i64,)> = session.one(statement).await?;
    Ok(row.map_or(0, |(deputies,)| deputies))
}

/// A delivery to a deputy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct StandIn {
    /// Who is away.
    pub stands_for: String,
    /// The deputy.
    pub contact_person_id: String,
    /// The delivery.
    pub delivery_id: i64,
}

const ADD: &str = "INSERT INTO stand_in (message_id, stands_for, contact_person_id, delivery_id, created_at)
 SELECT $2, v.stands_for, v.contact_person_id, v.delivery_id, $3
 FROM {rows $1: stands_for TEXT, contact_person_id TEXT, delivery_id BIGINT}";

/// Writes down which deliveries of a message went to deputies.
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

/// The deliveries of a message that went to deputies.
///
/// # Errors
/// [`super::StoreError`].
pub async fn of_message(session: &mut Session, message_id: &str) -> Result<Vec<StandIn>> {
    session.list(session.sql(OF_MESSAGE).bind(message_id.to_owned())).await
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
